package main

import (
	"math"
	"slices"
)

// quantiles returns the given quantiles of values, interpolated between the
// two nearest; of nothing they are not a number.
func quantiles(values []float64, at ...float64) []float64 {
	sorted := slices.Sorted(slices.Values(values))
	out := make([]float64, len(at))
	for i, q := range at {
		if len(sorted) == 0 {
			out[i] = math.NaN()
			continue
		}
		where := q * float64(len(sorted)-1)
		low := int(where)
		high := min(low+1, len(sorted)-1)
		out[i] = sorted[low] + (where-float64(low))*(sorted[high]-sorted[low])
	}
	return out
}

func median(values []float64) float64 { return quantiles(values, 0.5)[0] }
