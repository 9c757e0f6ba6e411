package measure

import (
	"slices"
)

// Spread is the middle and the ends of some values.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// SpreadOf makes the spread; the median of an even number of values is the mean of the two in the middle.
func SpreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	v := slices.Sorted(slices.Values(values))
	middle := v[len(v)/2]
	if len(v)%2 == 0 {
		middle = (v[len(v)/2-1] + middle) / 2
	}
	return Spread{Median: middle, Min: v[0], Max: v[len(v)-1], N: len(v)}
}

// Ratios divides values by those of the same round. Rounds that one of them lacks are left out.
func Ratios(values, by map[int]float64) []float64 {
	var ratios []float64
	for round, v := range values {
		if w, ok := by[round]; ok && w != 0 {
			ratios = append(ratios, v/w)
		}
	}
	slices.Sort(ratios)
	return ratios
}

// Order is the order of n engines in a round: each round begins with the next one, so that over n rounds each runs once in
// each place.
func Order(n, round int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = (i + round) % n
	}
	return order
}
