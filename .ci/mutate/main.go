// Command mutate measures the tests: it makes one small fault at a time in the code, runs the tests that reach the place,
// and lists the faults that none of them notices.
//
//	go run ./.ci/mutate [FILE.go …]    in the folder of the module; without files, all that compile here
//
// All faults are compiled into one test binary, each behind a switch, so that trying one takes as long as its tests do.
// The kinds: a comparison or condition the other way round; a bound off by one; && for ||, and each side of them left out;
// an operator of arithmetic for its opposite; a statement that calls, assigns, breaks or continues left out; ++ for --.
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
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A mutant is one fault: what it is, and where.
type mutant struct{ what, where string }

// A mutator rewrites one file. Edits are insertions only, so that line numbers stay as they are.
type mutator struct {
	fset    *token.FileSet
	info    *types.Info
	text    []byte
	edits   []edit
	mutants []mutant
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
	work, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	mutants, binary, err := compile(work, wanted)
	if err != nil {
		return err
	}
	fmt.Printf("%d mutants\n", len(mutants))
	reach, took, err := trace(work, binary, len(mutants))
	if err != nil {
		return err
	}
	killed, unreached := 0, 0
	var mu sync.Mutex
	var wait sync.WaitGroup
	next := make(chan int)
	for range 3 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for id := range next {
				dead := len(reach[id]) > 0 && kills(binary, id, reach[id], took)
				mu.Lock()
				switch {
				case dead:
					killed++
				case len(reach[id]) == 0:
					unreached++
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
	all := len(mutants)
	fmt.Printf("%d of %d killed, %.1f %%; %d were not reached, %d survived; of those reached %.1f %% were killed\n",
		killed, all, 100*float64(killed)/float64(all), unreached, all-killed-unreached, 100*float64(killed)/float64(all-unreached))
	return nil
}

// compile builds the test binary with all mutants in it.
func compile(work string, wanted []string) (mutants []mutant, binary string, err error) {
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
		m := &mutator{fset: fset, info: info, text: text, mutants: mutants}
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

// mutant makes a new mutant and returns the condition under which it is on.
func (m *mutator) mutant(node ast.Node, what string) string {
	m.mutants = append(m.mutants, mutant{what, m.fset.Position(node.Pos()).String()})
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
	switch n := node.(type) {
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
		kind := types.TypeString(m.info.Types[n].Type, func(p *types.Package) string {
			if p.Name() == "main" {
				return ""
			}
			return p.Name()
		})
		m.wrap(n, fmt.Sprintf("func() %s { if %s { return (%s) %s (%s) }; return ", kind, m.mutant(n, op+" in "+text), x, op, y), "}()")
	}
}

func (m *mutator) statements(list []ast.Stmt) {
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
func kills(binary string, id int, tests []string, took map[string]time.Duration) bool {
	for len(tests) > 0 {
		n, expected := 0, time.Duration(0)
		for n < len(tests) && (n == 0 || expected+took[tests[n]] < time.Second) {
			expected += took[tests[n]]
			n++
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second+5*expected)
		cmd := exec.CommandContext(ctx, binary, "-test.run", "^("+strings.Join(tests[:n], "|")+")$", "-test.failfast")
		cmd.Env = append(os.Environ(), "MUTANT="+strconv.Itoa(id))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // some mutants kill the group they are in
		cmd.WaitDelay = time.Second
		err := cmd.Run()
		cancel()
		if err != nil {
			return true
		}
		tests = tests[n:]
	}
	return false
}
