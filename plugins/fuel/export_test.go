package fuel

// Dearest returns what the dearest body of a module costs, without what it moves.
func Dearest(wasm []byte) (most int32) {
	m, err := parse(wasm, Import{})
	if err != nil {
		return 0
	}
	r := &reader{b: m.parts[sectionCode]}
	for i := range r.count() {
		cost := int32(0)
		if s, _, err := m.body(r.take(int(r.u32())), m.params[m.types[i]]); err == nil {
			for _, block := range s.blocks {
				cost += int32(block.weight)
			}
		}
		most = max(most, cost)
	}
	return most
}
