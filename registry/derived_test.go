package registry

import (
	"sync"
	"testing"
)

func TestWhatOwnersKeepWithARecord(t *testing.T) {
	rec := &Record{}
	a, b, c := &Owner{}, &Owner{}, &Owner{}
	if rec.Derived(a) != nil {
		t.Error("something is kept at first")
	}
	if got := rec.Derive(a, 1); got != 1 || rec.Derive(a, 2) != 1 || rec.Derived(a) != 1 {
		t.Errorf("kept %v, want the first, and that it stays", got)
	}
	rec.Derive(b, 3)
	a.Retire()
	rec.Derive(c, 4)
	if rec.Derived(a) != nil || rec.Derived(b) != 3 || rec.Derived(c) != 4 {
		t.Errorf("%v, %v, %v: want that of the retired owner gone", rec.Derived(a), rec.Derived(b), rec.Derived(c))
	}
}

func TestOwnersKeepValuesAtOnce(t *testing.T) {
	rec := &Record{}
	owners := make([]*Owner, 50)
	var wg sync.WaitGroup
	for i := range owners {
		owners[i] = &Owner{}
		wg.Go(func() { rec.Derive(owners[i], i) })
	}
	wg.Wait()
	for i, o := range owners {
		if got := rec.Derived(o); got != i {
			t.Errorf("owner %d keeps %v", i, got)
		}
	}
}
