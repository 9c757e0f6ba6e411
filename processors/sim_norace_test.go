//go:build !race

package processors

const (
	defaultSeeds, defaultLaterSeeds, defaultOutsideSeeds = 150, 60, 30
	underRace                                            = false
)
