//go:build race

package processors

// Under the race detector a seed takes three times as long: there a part of them runs, and all of them without it.
const (
	defaultSeeds, defaultLaterSeeds, defaultOutsideSeeds = 40, 15, 10
	underRace                                            = true
)
