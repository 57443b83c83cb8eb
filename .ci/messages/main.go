// go run ./.ci/messages: every text that the program may print, with the file and line where it is, to be read at one go.
// A text is a string literal of more than one word, or one that goes into an error, a line of output or a problem.
package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

var (
	words = regexp.MustCompile(`[a-zA-Z…’'),:;%]+ [a-zA-Z(%]`)
	// says are functions whose arguments are printed, and fields that are.
	says = regexp.MustCompile(`^(New|Errorf|fail|ok|warn|note|info|plain|hint|refuse|headline|summary|advice|fix|short|meaning)$`)
	// others take texts that are for machines.
	others = regexp.MustCompile(`^(MustCompile|Run|Start|Cut|CutPrefix|CutSuffix|HasPrefix|HasSuffix|Contains|Sscanf|Split|Fields|TrimPrefix|TrimSuffix|Index)$`)
)

func main() {
	log.SetFlags(0)
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		log.Fatal("run this in the folder of the sources")
	}
	set := token.NewFileSet()
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			log.Fatal(err)
		}
		var stack []ast.Node
		ast.Inspect(file, func(n ast.Node) bool {
			if n == nil {
				stack = stack[:len(stack)-1]
				return true
			}
			expression, _ := n.(ast.Expr)
			if text := textOf(expression); text != "" && printed(text, stack) {
				fmt.Printf("%s\t%s\n", set.Position(n.Pos()), strings.ReplaceAll(text, "\n", `\n`))
				return false
			}
			stack = append(stack, n)
			return true
		})
	}
}

// textOf is what a literal says, or a sum of literals and of other things, which are shown as ….
func textOf(n ast.Expr) string {
	switch n := n.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
			return text
		}
	case *ast.BinaryExpr:
		if left, right := textOf(n.X), textOf(n.Y); n.Op == token.ADD && left+right != "" {
			return cmp.Or(left, "…") + cmp.Or(right, "…")
		}
	}
	return ""
}

// printed tells by a text and what is around it whether it reaches the user.
func printed(text string, stack []ast.Node) bool {
	for i := len(stack) - 1; i >= 0; i-- {
		name := ""
		switch n := stack[i].(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field: // the tag of a field
			return false
		case *ast.CallExpr:
			switch f := n.Fun.(type) {
			case *ast.Ident:
				name = f.Name
			case *ast.SelectorExpr:
				name = f.Sel.Name
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok {
				name = key.Name
			}
		case ast.Stmt, ast.Decl:
			return words.MatchString(text)
		}
		if others.MatchString(name) {
			return false
		}
		if says.MatchString(name) {
			return regexp.MustCompile(`[a-z]`).MatchString(regexp.MustCompile(`%[a-z]|\\n`).ReplaceAllString(text, ""))
		}
	}
	return words.MatchString(text)
}
