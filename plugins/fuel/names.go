package fuel

import (
	"fmt"
	"strconv"
)

// function returns how an error names a function: by the module's name section,
// where it has one.
func (m *module) function(i int) string {
	r := &reader{b: m.names}
	for r.name(); r.more(); {
		id := r.byte()
		content := &reader{b: r.take(int(r.u32()))}
		if id != 1 { // the names of functions
			continue
		}
		for n := content.u32(); n > 0 && content.err == nil; n-- {
			if index, name := content.u32(), content.name(); content.err == nil && index == uint32(i) {
				return fmt.Sprintf("function %d %s", i, strconv.Quote(name))
			}
		}
	}
	return fmt.Sprintf("function %d", i)
}
