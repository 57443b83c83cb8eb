// Command mutate measures the tests: it makes one small fault at a time in the code, runs the tests that reach the place,
// and lists the faults that none of them notices.
//
//	go run ./.ci/mutate [-logic] [FILE.go …]    in the folder of the module; without files, all that compile here
//
// All faults are compiled into one test binary, each behind a switch, so that trying one takes as long as its tests do.
// Each is tried in a TMPDIR and a process group of its own, and has ten seconds and five times what its tests take.
// The kinds, of logic: a comparison or condition the other way round; a bound off by one; && for ||, and each side of them
// left out; an operator of arithmetic for its opposite; a statement that calls, assigns, breaks or continues left out; ++ for --.
// Those of values, which are counted apart, and left out with -logic: a number one larger, true for false; a time twice as long,
// or half; one flag of several left out; a word NAME=… for the environment left empty; two statements that call in the other order.
package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A mutant is one fault: what it is, where, and of which kinds.
type mutant struct {
	what, where string
	value       bool // of the kinds of values
}

// A mutator rewrites one file. Edits are insertions only, so that line numbers stay as they are.
type mutator struct {
	fset    *token.FileSet
	info    *types.Info
	text    []byte
	edits   []edit
	mutants []mutant
	values  bool // the kinds of values, too
	imports map[string]bool
}

// An edit inserts text at an offset. Of two at the same place the one with the lower order comes first.
type edit struct {
	at, order int
	text      string
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(wanted []string) error {
	values := len(wanted) == 0 || wanted[0] != "-logic"
	if !values {
		wanted = wanted[1:]
	}
	work, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	mutants, binary, err := compile(work, wanted, values)
	if err != nil {
		return err
	}
	fmt.Printf("%d mutants\n", len(mutants))
	reach, took, err := trace(work, binary, len(mutants))
	if err != nil {
		return err
	}
	var killed, unreached, all [2]int // of the kinds of logic, and of values
	for _, m := range mutants {
		all[m.class()]++
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	next := make(chan int)
	for range runtime.NumCPU() + 1 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for id := range next {
				dead, class := len(reach[id]) > 0 && kills(work, binary, id, reach[id], took), mutants[id].class()
				mu.Lock()
				switch {
				case dead:
					killed[class]++
				case len(reach[id]) == 0:
					unreached[class]++
					fmt.Printf("not reached  %s: %s\n", mutants[id].where, mutants[id].what)
				default:
					fmt.Printf("survived     %s: %s\n", mutants[id].where, mutants[id].what)
				}
				mu.Unlock()
			}
		}()
	}
	for id := range mutants {
		next <- id
	}
	close(next)
	wait.Wait()
	for class, kinds := range []string{"logic", "values"} {
		if all, killed, unreached := all[class], killed[class], unreached[class]; all > unreached {
			fmt.Printf("%s: %d of %d killed, %.1f %%; %d were not reached, %d survived; of those reached %.1f %% were killed\n", kinds,
				killed, all, 100*float64(killed)/float64(all), unreached, all-killed-unreached, 100*float64(killed)/float64(all-unreached))
		}
	}
	return nil
}

// compile builds the test binary with all mutants in it.
func compile(work string, wanted []string, values bool) (mutants []mutant, binary string, err error) {
	fset := token.NewFileSet()
	var files []*ast.File
	var paths []string
	all, err := filepath.Glob("*.go")
	if err != nil {
		return nil, "", err
	}
	for _, path := range all {
		if match, err := build.Default.MatchFile(".", path); err != nil || !match || strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return nil, "", err
		}
		files, paths = append(files, file), append(paths, path)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	conf := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
	if _, err := conf.Check("main", fset, files, info); err != nil {
		return nil, "", err
	}
	overlay := map[string]string{}
	folder, err := os.Getwd()
	if err != nil {
		return nil, "", err
	}
	for i, file := range files {
		if len(wanted) > 0 && !slices.Contains(wanted, paths[i]) {
			continue
		}
		text, err := os.ReadFile(paths[i])
		if err != nil {
			return nil, "", err
		}
		m := &mutator{fset: fset, info: info, text: text, mutants: mutants, values: values, imports: map[string]bool{"main": true}}
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			m.imports[path] = true
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
				ast.Inspect(f.Body, m.visit)
			}
		}
		mutants = m.mutants
		overlay[filepath.Join(folder, paths[i])] = m.write(work, paths[i])
	}
	overlay[filepath.Join(folder, "zz_mutant.go")] = filepath.Join(work, "zz_mutant.go")
	if err := os.WriteFile(filepath.Join(work, "zz_mutant.go"), []byte(switches), 0o600); err != nil {
		return nil, "", err
	}
	var list []string
	for from, to := range overlay {
		list = append(list, strconv.Quote(from)+":"+strconv.Quote(to))
	}
	if err := os.WriteFile(filepath.Join(work, "overlay.json"), []byte(`{"Replace":{`+strings.Join(list, ",")+`}}`), 0o600); err != nil {
		return nil, "", err
	}
	binary = filepath.Join(work, "mutants.test")
	out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", filepath.Join(work, "overlay.json"), "-o", binary, ".").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return mutants, binary, err
}

// switches is the file that turns one mutant on, and notes which ones a run has reached.
const switches = `package main

import ("os"; "strconv"; "sync/atomic")

var mutantOn, mutantSeen, mutantTrace = func() (int, []atomic.Bool, string) {
	n, err := strconv.Atoi(os.Getenv("MUTANT"))
	if err != nil { n = -1 }
	path := os.Getenv("MUTANT_TRACE")
	if path == "" { return n, nil, "" }
	return n, make([]atomic.Bool, 20000), path
}()

func mutantIs(n int) bool {
	if mutantSeen != nil && mutantSeen[n].CompareAndSwap(false, true) {
		if f, err := os.OpenFile(mutantTrace, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			f.WriteString(strconv.Itoa(n) + "\n")
			f.Close()
		}
	}
	return n == mutantOn
}
`

func (m mutant) class() int {
	if m.value {
		return 1
	}
	return 0
}

// mutant makes a new mutant and returns the condition under which it is on.
func (m *mutator) mutant(node ast.Node, what string) string {
	m.mutants = append(m.mutants, mutant{what: what, where: m.fset.Position(node.Pos()).String()})
	return fmt.Sprintf("mutantIs(%d)", len(m.mutants)-1)
}

func (m *mutator) offset(p token.Pos) int { return m.fset.Position(p).Offset }

func (m *mutator) source(node ast.Node) string {
	return string(m.text[m.offset(node.Pos()):m.offset(node.End())])
}

// wrap puts text around a node.
func (m *mutator) wrap(node ast.Node, before, after string) {
	size := int(node.End() - node.Pos()) // around a larger node goes outside
	m.edits = append(m.edits, edit{m.offset(node.Pos()), -size, before}, edit{m.offset(node.End()), size, after})
}

func (m *mutator) visit(node ast.Node) bool {
	if e, ok := node.(ast.Expr); ok && m.info.Types[e].Value != nil {
		if m.values {
			m.constant(e)
		}
		return false
	}
	switch n := node.(type) {
	case *ast.DeclStmt:
		return n.Decl.(*ast.GenDecl).Tok != token.CONST
	case *ast.ArrayType: // its length must be a constant
		return false
	case *ast.KeyValueExpr:
		if m.info.Types[n.Key].Value != nil { // so must the key of an array's literal
			ast.Inspect(n.Value, m.visit)
			return false
		}
	case *ast.BinaryExpr:
		m.binary(n)
	case *ast.IfStmt:
		m.condition(n.Cond)
	case *ast.SwitchStmt:
		if n.Tag == nil {
			for _, clause := range n.Body.List {
				for _, e := range clause.(*ast.CaseClause).List {
					m.condition(e)
				}
			}
		}
	case *ast.BlockStmt:
		m.statements(n.List)
	case *ast.CaseClause:
		m.statements(n.Body)
		for _, s := range n.Body { // what it is compared with stays
			ast.Inspect(s, m.visit)
		}
		for _, e := range n.List {
			if m.info.Types[e].Value == nil {
				ast.Inspect(e, m.visit)
			}
		}
		return false
	case *ast.CommClause:
		m.statements(n.Body)
	}
	return true
}

// condition turns a condition round that is no comparison, which binary sees to, nor && or ||, whose sides it does.
func (m *mutator) condition(e ast.Expr) {
	if _, ok := ast.Unparen(e).(*ast.BinaryExpr); !ok && m.info.Types[e].Value == nil {
		m.wrap(e, "(("+"", ") != "+m.mutant(e, "not "+m.source(e))+")")
	}
}

func (m *mutator) binary(n *ast.BinaryExpr) {
	if m.info.Types[n].Value != nil { // a constant
		return
	}
	text, x, y := m.source(n), m.source(n.X), m.source(n.Y)
	bound := map[token.Token]string{token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">"}
	opposite := map[token.Token]string{token.ADD: "-", token.SUB: "+", token.MUL: "/", token.QUO: "*", token.REM: "*"}
	switch n.Op {
	case token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ:
		after := ") != " + m.mutant(n, "not "+text)
		if op, ok := bound[n.Op]; ok {
			after += fmt.Sprintf(" != (%s && (%s) == (%s))", m.mutant(n, op+" in "+text), x, y)
		}
		m.wrap(n, "((", after+")")
	case token.LAND, token.LOR:
		other, skip := "||", ""
		if n.Op == token.LOR {
			other, skip = "&&", "!"
		}
		link := map[string]string{"": "||", "!": "&&"}[skip]
		m.wrap(n, fmt.Sprintf("(%s && ((%s) %s (%s)) || !%[1]s && (", m.mutant(n, other+" in "+text), x, other, y), "))")
		m.mutants[len(m.mutants)-1].where = m.fset.Position(n.OpPos).String()
		m.wrap(n.X, fmt.Sprintf("(%s%s %s (", skip, m.mutant(n.X, "without the left side: "+text), link), "))")
		m.wrap(n.Y, fmt.Sprintf("(%s%s %s (", skip, m.mutant(n.Y, "without the right side: "+text), link), "))")
	default:
		op, ok := opposite[n.Op]
		basic, isBasic := m.info.Types[n].Type.Underlying().(*types.Basic)
		if !ok || !isBasic || basic.Info()&types.IsNumeric == 0 {
			return
		}
		m.wrap(n, fmt.Sprintf("func() %s { if %s { return (%s) %s (%s) }; return ", m.typeName(m.info.Types[n].Type), m.mutant(n, op+" in "+text), x, op, y), "}()")
	}
}

// typeName is a type as this package writes it.
func (m *mutator) typeName(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p.Name() == "main" {
			return ""
		}
		return p.Name()
	})
}

// environmentWord is a K=V word.
var environmentWord = regexp.MustCompile(`^"[A-Z_]+=`)

// constant gives a constant other values.
func (m *mutator) constant(e ast.Expr) {
	value := m.info.Types[e]
	basic, ok := value.Type.Underlying().(*types.Basic)
	if !ok || basic.Info()&types.IsUntyped != 0 {
		return
	}
	if named, ok := value.Type.(interface{ Obj() *types.TypeName }); ok && named.Obj().Pkg() != nil && !m.imports[named.Obj().Pkg().Path()] {
		return // its file cannot name its type
	}
	text, kind := m.source(e), m.typeName(value.Type)
	var others []string
	switch {
	case kind == "time.Duration":
		others = []string{"2 * (" + text + ")", "(" + text + ") / 2"}
	case basic.Info()&types.IsInteger != 0:
		if flags := m.flags(e); len(flags) > 1 {
			for i := range flags {
				others = append(others, strings.Join(slices.Delete(slices.Clone(flags), i, i+1), " | "))
			}
		} else {
			others = []string{"(" + text + ") + 1"}
		}
	case basic.Info()&types.IsBoolean != 0:
		others = []string{"!" + text}
	case environmentWord.MatchString(text):
		others = []string{`""`}
	}
	if len(others) == 0 {
		return
	}
	before := "func() " + kind + " { "
	for _, other := range others {
		before += "if " + m.mutant(e, other+" for "+text) + " { var x " + kind + " = " + text + "; _ = x; return " + strings.ReplaceAll(other, "("+text+")", "x") + " }; "
		m.mutants[len(m.mutants)-1].value = true
	}
	m.wrap(e, before+"return ", " }()")
}

// flags are the sides of all the | in a constant.
func (m *mutator) flags(e ast.Expr) []string {
	if n, ok := ast.Unparen(e).(*ast.BinaryExpr); ok && n.Op == token.OR {
		return append(m.flags(n.X), m.flags(n.Y)...)
	}
	return []string{m.source(e)}
}

// orders swaps two neighbours of statements that call something, on a line each.
func (m *mutator) orders(list []ast.Stmt) {
	calls := func(s ast.Stmt) (found bool) {
		assign, assigns := s.(*ast.AssignStmt)
		_, runs := s.(*ast.ExprStmt)
		if !runs && !(assigns && assign.Tok != token.DEFINE) || strings.Contains(m.source(s), "\n") {
			return false
		}
		ast.Inspect(s, func(n ast.Node) bool {
			_, call := n.(*ast.CallExpr)
			found = found || call
			return !found
		})
		return found
	}
	for i := 0; i+1 < len(list); i++ {
		if a, b := list[i], list[i+1]; calls(a) && calls(b) {
			first, second := m.source(a), m.source(b)
			on := m.mutant(a, "after the next: "+first)
			m.mutants[len(m.mutants)-1].value = true
			m.edits = append(m.edits, edit{m.offset(a.Pos()), -int(b.End() - a.Pos()), "if " + on + " { " + second + "; " + first + " } else { "},
				edit{m.offset(b.End()), int(b.End() - a.Pos()), " }"})
			i++
		}
	}
}

func (m *mutator) statements(list []ast.Stmt) {
	if m.values {
		m.orders(list)
	}
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			m.leaveOut(s)
		case *ast.AssignStmt:
			if s.Tok != token.DEFINE {
				m.leaveOut(s)
			}
		case *ast.BranchStmt:
			if s.Tok == token.BREAK || s.Tok == token.CONTINUE {
				m.leaveOut(s)
			}
		case *ast.IncDecStmt:
			other := map[token.Token]string{token.INC: "--", token.DEC: "++"}[s.Tok]
			m.wrap(s, fmt.Sprintf("if %s { %s%s } else { ", m.mutant(s, other+" for "+m.source(s)), m.source(s.X), other), " }")
		}
	}
}

func (m *mutator) leaveOut(s ast.Stmt) {
	what, _, _ := strings.Cut(m.source(s), "\n")
	m.wrap(s, "if !"+m.mutant(s, "without "+what)+" { ", " }")
}

// write writes the file with its mutants in it, and returns where.
func (m *mutator) write(work, path string) string {
	slices.SortStableFunc(m.edits, func(a, b edit) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order))
	})
	var out bytes.Buffer
	at := 0
	for _, e := range m.edits {
		out.Write(m.text[at:e.at])
		out.WriteString(e.text)
		at = e.at
	}
	out.Write(m.text[at:])
	to := filepath.Join(work, filepath.Base(path))
	if err := os.WriteFile(to, out.Bytes(), 0o600); err != nil {
		panic(err)
	}
	return to
}

// trace runs each test alone, without a mutant, and returns which mutants it reaches, the fastest tests first.
func trace(work, binary string, count int) (reach [][]string, took map[string]time.Duration, err error) {
	out, err := exec.Command(binary, "-test.list", "^(Test|Fuzz)").Output()
	if err != nil {
		return nil, nil, err
	}
	took = map[string]time.Duration{}
	reached := map[string][]int{}
	var names []string
	for _, name := range strings.Fields(string(out)) {
		path := filepath.Join(work, "trace")
		os.Remove(path)
		cmd := exec.Command(binary, "-test.run", "^"+name+"$", "-test.failfast")
		cmd.Env = append(os.Environ(), "MUTANT_TRACE="+path)
		start := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, nil, fmt.Errorf("%s fails without a mutant: %w\n%s", name, err, out)
		}
		took[name] = time.Since(start)
		text, _ := os.ReadFile(path)
		for _, line := range strings.Fields(string(text)) {
			if id, err := strconv.Atoi(line); err == nil {
				reached[name] = append(reached[name], id)
			}
		}
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(took[a], took[b]) })
	reach = make([][]string, count)
	for _, name := range names {
		for _, id := range reached[name] {
			if !slices.Contains(reach[id], name) {
				reach[id] = append(reach[id], name)
			}
		}
	}
	return reach, took, nil
}

// kills tells whether one of the tests notices a mutant.
func kills(work, binary string, id int, tests []string, took map[string]time.Duration) bool {
	folder := filepath.Join(work, strconv.Itoa(id))
	defer os.RemoveAll(folder)
	if err := os.Mkdir(folder, 0o700); err != nil {
		panic(err)
	}
	for len(tests) > 0 {
		n, expected := 0, time.Duration(0)
		for n < len(tests) && (n == 0 || expected+took[tests[n]] < time.Second) {
			expected += took[tests[n]]
			n++
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second+5*expected)
		cmd := exec.CommandContext(ctx, binary, "-test.run", "^("+strings.Join(tests[:n], "|")+")$", "-test.failfast")
		cmd.Env = append(os.Environ(), "MUTANT="+strconv.Itoa(id), "TMPDIR="+folder)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // some mutants kill the group they are in
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		cmd.WaitDelay = time.Second
		err := cmd.Run()
		cancel()
		if cmd.Process != nil {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what its tests left behind
		}
		if err != nil {
			return true
		}
		tests = tests[n:]
	}
	return false
}
