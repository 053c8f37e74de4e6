package http

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/hashicorp/go-bexpr"
	"github.com/hashicorp/go-bexpr/grammar"

	"github.com/edgecache/edgecache/registry"
)

const (
	maxExpr      = 1 << 10 // bytes of a filter expression
	maxExprs     = 256     // compiled expressions that are kept
	maxExprSteps = 100_000 // of the parser: nested parentheses cost it dearly
	verdictSlots = 64      // records whose verdicts an expression keeps
)

// An exprCache keeps compiled expressions by their text. When it is full, any
// one makes room.
type exprCache struct {
	mu     sync.RWMutex // protects byText
	byText map[string]*expr
}

func newExprCache() *exprCache { return &exprCache{byText: map[string]*expr{}} }

// get returns the compiled expression. The error says where the text is wrong.
func (e *exprCache) get(text string) (registry.Expr, error) {
	e.mu.RLock()
	x := e.byText[text]
	e.mu.RUnlock()
	if x != nil {
		return x, nil
	}
	x, err := compileExpr(strings.Clone(text))
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for other := range e.byText {
		if len(e.byText) < maxExprs {
			break
		}
		delete(e.byText, other)
	}
	e.byText[x.text] = x
	return x, nil
}

// An expr is a checked expression over instances that remembers its verdicts:
// evaluating costs microseconds an instance, and records rarely change.
type expr struct {
	text string
	eval *bexpr.Evaluator

	mu    sync.Mutex // serialises evaluation, which caches regular expressions in eval
	slots [verdictSlots]atomic.Pointer[verdicts]
}

// verdicts are what an expression says of each instance of one record. The
// record is not held: its address may be used again, but not for another
// record of the same content hash and index and other instances.
type verdicts struct {
	record      uintptr
	hash, index uint64
	match       []bool
}

func compileExpr(text string) (*expr, error) {
	if len(text) > maxExpr {
		return nil, fmt.Errorf("the expression has %d bytes, the most is %d", len(text), maxExpr)
	}
	parsed, err := grammar.Parse("", []byte(text), grammar.MaxExpressions(maxExprSteps))
	if err != nil && strings.Contains(err.Error(), "max number of expressions") {
		return nil, errors.New("the expression has too many parentheses in each other; write it flatter")
	}
	if err != nil {
		return nil, fmt.Errorf(`line:column (byte) %v; an expression like zone == "a" and "v1" in tags expected`, err)
	}
	ast, ok := parsed.(grammar.Expression)
	if !ok {
		return nil, errors.New("the expression is empty")
	}
	if err := checkExpr(ast, text, nil); err != nil {
		return nil, err
	}
	eval, err := bexpr.CreateEvaluator(text, bexpr.WithMaxExpressions(maxExprSteps))
	if err != nil {
		return nil, err
	}
	return &expr{text: text, eval: eval}, nil
}

// Text returns the expression as written.
func (e *expr) Text() string { return e.text }

// Match reports whether the expression holds for instance i of rec.
func (e *expr) Match(rec *registry.Record, i int) bool {
	slot := &e.slots[rec.Hash()%verdictSlots]
	v := slot.Load()
	if v == nil || v.record != addressOf(rec) || v.hash != rec.Hash() || v.index != rec.Index || i >= len(v.match) {
		v = e.judge(rec)
		slot.Store(v)
	}
	return v.match[i]
}

func addressOf(rec *registry.Record) uintptr { return uintptr(unsafe.Pointer(rec)) }

// judge evaluates the expression for every instance. What cannot be evaluated
// does not match: checkExpr lets nothing of that kind through.
func (e *expr) judge(rec *registry.Record) *verdicts {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := &verdicts{record: addressOf(rec), hash: rec.Hash(), index: rec.Index, match: make([]bool, len(rec.Instances))}
	for i := range rec.Instances {
		ok, err := e.eval.Evaluate(viewOf(&rec.Instances[i]))
		v.match[i] = ok && err == nil
	}
	return v
}

// An instanceView shows expressions an instance under its JSON names.
type instanceView struct {
	ID         string            `bexpr:"id"`
	Address    string            `bexpr:"address"`
	Port       uint16            `bexpr:"port"`
	Protocol   string            `bexpr:"protocol"`
	TLS        bool              `bexpr:"tls"`
	URL        string            `bexpr:"url"`
	Health     string            `bexpr:"health"`
	Weight     float64           `bexpr:"weight"`
	Priority   uint16            `bexpr:"priority"`
	Version    string            `bexpr:"version"`
	Node       string            `bexpr:"node"`
	Region     string            `bexpr:"region"`
	Zone       string            `bexpr:"zone"`
	Tags       []string          `bexpr:"tags"`
	Metadata   map[string]string `bexpr:"metadata"`
	Endpoints  []endpointView    `bexpr:"endpoints"`
	Registered string            `bexpr:"registered"`
}

type endpointView struct {
	Name     string `bexpr:"name"`
	Address  string `bexpr:"address"`
	Port     uint16 `bexpr:"port"`
	Protocol string `bexpr:"protocol"`
	TLS      bool   `bexpr:"tls"`
	URL      string `bexpr:"url"`
}

func viewOf(in *registry.Instance) instanceView {
	e := in.Main()
	v := instanceView{
		ID: in.ID, Address: e.Address, Port: e.Port, Protocol: e.Protocol, TLS: e.TLS, URL: e.URL,
		Health: in.Health.String(), Weight: float64(in.Weight) / registry.DefaultWeight, Priority: in.Priority,
		Version: in.Version, Node: in.Node, Region: in.Region, Zone: in.Zone,
		Tags: in.Tags, Metadata: maps.Collect(in.Metadata.All()),
	}
	if in.Registered != 0 {
		v.Registered = time.UnixMilli(in.Registered).UTC().Format(time.RFC3339Nano)
	}
	for i := range in.Endpoints {
		e := &in.Endpoints[i]
		v.Endpoints = append(v.Endpoints, endpointView{e.Name, e.Address, e.Port, e.Protocol, e.TLS, e.URL})
	}
	return v
}
