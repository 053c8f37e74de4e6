package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/token"

	"github.com/edgecache/edgecache/registry"
)

// mistakes gathers all that is wrong with a configuration, to tell it in one
// message.
type mistakes struct {
	file  string   // "": there is none
	lines []string // of the file
	found found
	keys  map[string]position // the keys that are set, and where in the file
	from  map[string]string   // key: the environment variable or flag that set it
}

type mistake struct {
	key, text string
	position
}

type found []mistake

// explain reports whether e follows from what was found in the same key, in
// one that it is part of, or in a part of it.
func (f found) explain(e mistake) bool {
	return slices.ContainsFunc(f, func(known mistake) bool {
		return known.key != "" && (within(e.key, known.key) || within(known.key, e.key))
	})
}

// within reports whether key is outer or a part of it.
func within(key, outer string) bool {
	rest, ok := strings.CutPrefix(key, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// A position is a place in the file; Line 0 is none.
type position struct{ line, column int }

func newMistakes(file string, text []byte) *mistakes {
	return &mistakes{
		file: file, lines: strings.Split(string(text), "\n"),
		keys: map[string]position{}, from: map[string]string{},
	}
}

// at adds a mistake at a token of the file; nil: somewhere.
func (m *mistakes) at(key string, t *token.Token, format string, args ...any) {
	m.found = append(m.found, mistake{key, fmt.Sprintf(format, args...), positionOf(t)})
}

// add adds a mistake of a key, wherever it was set.
func (m *mistakes) add(key, format string, args ...any) {
	where := position{}
	for k := key; ; {
		if source, ok := m.from[k]; ok {
			key = source + ": " + key
			break
		}
		if p := m.keys[k]; p.line > 0 {
			where = p
			break
		}
		cut := strings.LastIndexAny(k, ".[")
		if cut < 0 {
			break
		}
		k = k[:cut]
	}
	m.found = append(m.found, mistake{key, fmt.Sprintf(format, args...), where})
}

// seen notes where the value of a key stands.
func (m *mistakes) seen(key string, t *token.Token) { m.keys[key] = positionOf(t) }

var leadingKey = regexp.MustCompile(`^([a-z_0-9]+(?:\[\d+\])*(?:\.[^:\s]+)*): `)

// section adds the mistakes that a package found in its section. Each begins
// with its key below the section.
func (m *mistakes) section(key string, err error) {
	if err == nil {
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			m.section(key, e)
		}
		return
	}
	text := err.Error()
	if found := leadingKey.FindStringSubmatch(text); found != nil {
		key, text = join(key, found[1]), text[len(found[0]):]
	}
	m.add(key, "%s", text)
}

func positionOf(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{}
	}
	return position{t.Position.Line, t.Position.Column}
}

// mostTold bounds the message: more mistakes than this are one mistake.
const mostTold = 50

// err returns all mistakes in the order of the file, or nil.
func (m *mistakes) err() error {
	if len(m.found) == 0 {
		return nil
	}
	slices.SortStableFunc(m.found, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	m.found = slices.Compact(m.found)
	var b strings.Builder
	noun := "1 mistake"
	if n := len(m.found); n > 1 {
		noun = fmt.Sprintf("%d mistakes", n)
	}
	fmt.Fprintf(&b, "configuration: %s", noun)
	for i, e := range m.found {
		if i == mostTold {
			fmt.Fprintf(&b, "\n… and %d more", len(m.found)-i)
			break
		}
		b.WriteString("\n" + m.render(e))
	}
	return errors.New(b.String())
}

// render writes a mistake with its line and a caret below it.
func (m *mistakes) render(e mistake) string {
	text := e.text
	if e.key != "" {
		text = e.key + ": " + text
	}
	if e.line < 1 || e.line > len(m.lines) {
		return text
	}
	line, at := excerpt([]rune(strings.TrimRight(m.lines[e.line-1], "\r")), max(e.column-1, 0))
	var pad strings.Builder
	for _, r := range line[:min(at, len(line))] {
		if r != '\t' {
			r = ' '
		}
		pad.WriteRune(r)
	}
	gutter := fmt.Sprintf("%5d | ", e.line)
	return fmt.Sprintf("%s:%d:%d: %s\n%s%s\n%s%s^", m.file, e.line, e.column, text,
		gutter, string(line), strings.Repeat(" ", len(gutter)), pad.String())
}

// excerpt shortens a long line to what stands around position at.
func excerpt(line []rune, at int) (part []rune, shifted int) {
	const most = 160
	if len(line) <= most {
		return line, at
	}
	from := max(min(at-most/2, len(line)-most), 0)
	return line[from : from+most], at - from
}

// laterSections are what the interface knows and this version does not have.
var laterSections = []string{"dns", "xds", "consul"}

// maxGuessed is the longest key for which a near one is looked for.
const maxGuessed = 64

// unknownKey says that a key is unknown, and which one may have been meant.
func unknownKey(path, key string, known []string) string {
	if path == "" && slices.Contains(laterSections, key) {
		return "not in this version"
	}
	best, distance := "", len(key)/3+2
	for _, k := range known {
		if len(key) > maxGuessed {
			break
		}
		if d := registry.EditDistance(key, k); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("unknown key; did you mean %s?", best)
	}
	return "unknown key; known here: " + strings.Join(known, ", ")
}
