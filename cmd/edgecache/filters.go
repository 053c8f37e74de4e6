package main

import "fmt"

func (c *Config) validateFilters(m *mistakes) {
	names := map[string]bool{}
	for i := range c.Filters {
		f := &c.Filters[i]
		at := fmt.Sprintf("filters[%d]", i)
		if names[f.Name] {
			m.add(at+".name", "%q is taken by an earlier filter", f.Name)
		}
		names[f.Name] = true
		m.section(at, f.Validate())
	}
}
