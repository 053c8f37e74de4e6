package plugins

import "testing"

// What is above the 32 bits of an argument says nothing.
func TestArgumentsHave32Bits(t *testing.T) {
	g := newGen(t, "moody", 1)
	i, err := g.acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { g.drop(i); g.close(); <-g.over }()
	const above = 0xdead_beef << 32
	for _, c := range []struct {
		name  string
		count uint64
		want  uint64
	}{{"fd_write", 1, 0}, {"fd_write", 0, 0}, {"fd_write", 17, wasiInvalid}, {"poll_oneoff", 1, 0}, {"poll_oneoff", 0, wasiInvalid}, {"poll_oneoff", 17, wasiInvalid}} {
		i.fuel.Set(initFuel)
		stack := []uint64{above | 1024, above | 2048, above | c.count, above | 4096}
		if wasiFuncs[c.name].call(&i.instance, stack); stack[0] != c.want {
			t.Errorf("%s of %d: %d, want %d", c.name, c.count, stack[0], c.want)
		}
	}
	i.fuel.Set(initFuel)
	stack := []uint64{above | 1024, above, above | 2048, above | 16}
	if i.getConfig(stack); stack[0] != 2 {
		t.Errorf("config_get returned %#x, want the length of {}", stack[0])
	}
}
