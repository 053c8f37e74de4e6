package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ErrNotFound matches a Problem of status 404: no registry has the name, or
// there is no such document, registry, invalidation or route.
var ErrNotFound = errors.New("not found")

// ProblemPrefix begins the Type of every problem that a node reports.
const ProblemPrefix = "urn:edgecache:"

// A Problem is a node's refusal or failure to answer, as RFC 9457 describes it.
type Problem struct {
	Type      string `json:"type"` // see [Problem.Kind]
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`              // what was wrong and what would be right
	Parameter string `json:"parameter,omitempty"` // the query parameter, header or field at fault
	Name      string `json:"name,omitempty"`
	Registry  string `json:"registry,omitempty"`

	Registries []Outcome `json:"registries,omitempty"` // of a lookup over several registries

	Index      uint64        `json:"-"` // of a name that does not exist: what Wait takes; 0: none
	RetryAfter time.Duration `json:"-"` // 0: not said
	Freshness  Freshness     `json:"-"` // of a negative answer
}

// An Outcome is what one registry contributed to a lookup: "found", "absent"
// or "down" with an error.
type Outcome struct {
	Registry string `json:"registry"`
	Outcome  string `json:"outcome"`
	Error    string `json:"error,omitempty"`
}

// Kind returns the word that names the problem, such as "not-found".
func (p *Problem) Kind() string { return strings.TrimPrefix(p.Type, ProblemPrefix) }

func (p *Problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	if text == "" {
		text = http.StatusText(p.Status)
	}
	if kind := p.Kind(); kind != "" {
		return fmt.Sprintf("%s (%d %s)", text, p.Status, kind)
	}
	return fmt.Sprintf("%s (%d)", text, p.Status)
}

// Is reports whether target is ErrNotFound and the problem a 404.
func (p *Problem) Is(target error) bool {
	return target == ErrNotFound && p.Status == http.StatusNotFound
}

// maxQuote bounds what an error quotes of a body that is not a problem.
const maxQuote = 120

// problemOf makes a Problem of an answer whose status reports one, whatever
// its body: a proxy in between may have sent it.
func problemOf(a answer) *Problem {
	p := &Problem{}
	if !strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") || json.Unmarshal(a.body, p) != nil {
		quote := strings.TrimSpace(string(a.body[:min(len(a.body), maxQuote)]))
		p = &Problem{Title: http.StatusText(a.status), Detail: fmt.Sprintf("the answer is not edgecache's: %q", quote)}
	}
	p.Status = a.status
	p.Freshness = freshnessOf(a.header)
	p.Index = p.Freshness.Index
	if seconds, err := strconv.ParseUint(a.header.Get("Retry-After"), 10, 31); err == nil {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	return p
}
