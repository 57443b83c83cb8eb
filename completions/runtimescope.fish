# Completion of runtimescope for fish. Static: it runs no program and reads no file, but for the paths after --collector.

# The words before the cursor are these and no more: what comes next is a command or a subcommand.
function __runtimescope_after
    set -l words (commandline -opc)
    set -e words[1]
    test "$words" = "$argv"
end

# The words before the cursor begin with these: what comes next are their flags.
function __runtimescope_in
    set -l words (commandline -opc)
    set -e words[1]
    set -l n (count $argv)
    test "$words[1..$n]" = "$argv"
end

complete -c runtimescope -f
complete -c runtimescope -s h -l help -d 'Show the usage'

complete -c runtimescope -n '__runtimescope_after' -s v -l version -d 'Print the version'
complete -c runtimescope -n '__runtimescope_after' -a service -d 'Manage the collector as a background service'
complete -c runtimescope -n '__runtimescope_after' -a dashboard -d 'Make sure a collector is running, then open its dashboard'
complete -c runtimescope -n '__runtimescope_after' -a mcp -d 'Run the MCP server (hands over to `mcp-server`)'
complete -c runtimescope -n '__runtimescope_after' -a version -d 'Print the version'
complete -c runtimescope -n '__runtimescope_after' -a help -d 'Show help'

complete -c runtimescope -n '__runtimescope_after service' -a install -d 'Install + start the background service (launchd/systemd)'
complete -c runtimescope -n '__runtimescope_after service' -a stop -d 'Stop the service (config preserved)'
complete -c runtimescope -n '__runtimescope_after service' -a start -d 'Alias for restart'
complete -c runtimescope -n '__runtimescope_after service' -a restart -d 'Restart the service'
complete -c runtimescope -n '__runtimescope_after service' -a status -d 'Show service state + PID'
complete -c runtimescope -n '__runtimescope_after service' -a uninstall -d 'Stop + remove the service config'
complete -c runtimescope -n '__runtimescope_after service' -a wait -d 'Wait until the service is healthy; change nothing'
complete -c runtimescope -n '__runtimescope_after service' -a logs -d 'Show the collector\'s log'
complete -c runtimescope -n '__runtimescope_after service' -a doctor -d 'Check everything the service needs and suggest fixes'
complete -c runtimescope -n '__runtimescope_after service' -a update -d 'Restart the service on a newly installed collector'
complete -c runtimescope -n '__runtimescope_after service' -a run -d 'Run the collector in the foreground (e.g. in a container)'
complete -c runtimescope -n '__runtimescope_after service' -a unit -d 'Print the service definition, for packagers'
complete -c runtimescope -n '__runtimescope_after service' -a help -d 'Show this help'

complete -c runtimescope -n '__runtimescope_in dashboard' -s n -l dry-run -d 'show what would be done, without doing it'
complete -c runtimescope -n '__runtimescope_in service install' -s n -l dry-run -d 'show what would be done, without doing it'
complete -c runtimescope -n '__runtimescope_in service stop' -s n -l dry-run -d 'show what would be done, without doing it'
complete -c runtimescope -n '__runtimescope_in service start' -s n -l dry-run -d 'show what would be done, without doing it'
complete -c runtimescope -n '__runtimescope_in service restart' -s n -l dry-run -d 'show what would be done, without doing it'
complete -c runtimescope -n '__runtimescope_in service uninstall' -s n -l dry-run -d 'show what would be done, without doing it'
complete -c runtimescope -n '__runtimescope_in service update' -s n -l dry-run -d 'show what would be done, without doing it'
complete -c runtimescope -n '__runtimescope_in service install' -l collector -rF -d 'use the collector at PATH (default: search for it)'
complete -c runtimescope -n '__runtimescope_in service update' -l collector -rF -d 'use the collector at PATH (default: search for it)'
complete -c runtimescope -n '__runtimescope_in service run' -l collector -rF -d 'use the collector at PATH (default: search for it)'
complete -c runtimescope -n '__runtimescope_in service unit' -l collector -rF -d 'use the collector at PATH (default: search for it)'
complete -c runtimescope -n '__runtimescope_in service install' -l env -xa '(set -nx)' -d 'set a variable for the collector; NAME= removes it'
complete -c runtimescope -n '__runtimescope_in dashboard' -l timeout -xa '30s 60s 2m 5m' -d 'how long the start may take, e.g. 90s (default 60s)'
complete -c runtimescope -n '__runtimescope_in service install' -l timeout -xa '30s 60s 2m 5m' -d 'how long the start may take, e.g. 90s (default 60s)'
complete -c runtimescope -n '__runtimescope_in service start' -l timeout -xa '30s 60s 2m 5m' -d 'how long the start may take, e.g. 90s (default 60s)'
complete -c runtimescope -n '__runtimescope_in service restart' -l timeout -xa '30s 60s 2m 5m' -d 'how long the start may take, e.g. 90s (default 60s)'
complete -c runtimescope -n '__runtimescope_in service wait' -l timeout -xa '30s 60s 2m 5m' -d 'how long the start may take, e.g. 90s (default 60s)'
complete -c runtimescope -n '__runtimescope_in service update' -l timeout -xa '30s 60s 2m 5m' -d 'how long the start may take, e.g. 90s (default 60s)'
complete -c runtimescope -n '__runtimescope_in service install' -l json -d 'print one JSON object'
complete -c runtimescope -n '__runtimescope_in service stop' -l json -d 'print one JSON object'
complete -c runtimescope -n '__runtimescope_in service start' -l json -d 'print one JSON object'
complete -c runtimescope -n '__runtimescope_in service restart' -l json -d 'print one JSON object'
complete -c runtimescope -n '__runtimescope_in service status' -l json -d 'print one JSON object'
complete -c runtimescope -n '__runtimescope_in service uninstall' -l json -d 'print one JSON object'
complete -c runtimescope -n '__runtimescope_in service wait' -l json -d 'print one JSON object'
complete -c runtimescope -n '__runtimescope_in service doctor' -l json -d 'print one JSON object'
complete -c runtimescope -n '__runtimescope_in service update' -l json -d 'print one JSON object'
complete -c runtimescope -n '__runtimescope_in service status' -l exit-code -d 'exit 0: healthy, 3: not healthy, 4: not installed'
complete -c runtimescope -n '__runtimescope_in service logs' -s n -l lines -x -d 'print the last N lines (default 50)'
complete -c runtimescope -n '__runtimescope_in service logs' -s f -l follow -d 'follow the log'
complete -c runtimescope -n '__runtimescope_in dashboard' -l no-open -d 'print the URL instead of opening it'
complete -c runtimescope -n '__runtimescope_in dashboard' -l network -d 'print what other machines need to reach it'
complete -c runtimescope -n '__runtimescope_in service unit' -l systemd -d 'print the systemd unit'
complete -c runtimescope -n '__runtimescope_in service unit' -l launchd -d 'print the launchd plist'
