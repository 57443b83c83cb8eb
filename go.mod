module runtimescope

go 1.24
