package store

import (
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// merger merges marks, generations and the numbers that only rise, by the
// greatest value. Its name is on disk with each directory: Pebble refuses, and
// leaves as it is, one that a program with another format wrote.
var merger = &pebble.Merger{Name: fmt.Sprintf("edgecache.%d", formatVersion), Merge: mergeKey}

func mergeKey(key, value []byte) (pebble.ValueMerger, error) {
	var m interface {
		pebble.ValueMerger
		raise(value []byte) error
	}
	switch {
	case len(key) > 0 && (key[0] == familyMark || key[0] == familyGeneration):
		m = new(positionsMerger)
	case len(key) > 0 && key[0] == familyNumber:
		m = new(numberMerger)
	default:
		return nil, fmt.Errorf("key %q: values of its family cannot be merged", key)
	}
	return m, m.raise(value)
}

type positionsMerger struct{ positions }

func (m *positionsMerger) raise(value []byte) error {
	p, err := parsePositions(value)
	if err == nil {
		m.positions.raise(&p)
	}
	return err
}

func (m *positionsMerger) MergeNewer(value []byte) error { return m.raise(value) }
func (m *positionsMerger) MergeOlder(value []byte) error { return m.raise(value) }
func (m *positionsMerger) Finish(bool) ([]byte, io.Closer, error) {
	return m.append(nil), nil, nil
}

type numberMerger struct{ n uint64 }

func (m *numberMerger) raise(value []byte) error {
	n, err := parseNumber(value)
	m.n = max(m.n, n)
	return err
}

func (m *numberMerger) MergeNewer(value []byte) error { return m.raise(value) }
func (m *numberMerger) MergeOlder(value []byte) error { return m.raise(value) }
func (m *numberMerger) Finish(bool) ([]byte, io.Closer, error) {
	return appendNumber(nil, m.n), nil, nil
}
