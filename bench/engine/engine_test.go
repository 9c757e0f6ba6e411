package engine

import "testing"

// TestAnOptionWithoutEffectIsRefused asks engines for what they do not have, and for values that they cannot take. Mutations: no check of
// the engine's own options; no check of the number.
func TestAnOptionWithoutEffectIsRefused(t *testing.T) {
	for _, name := range []string{
		"", "nothing", "weir,streams:threads=1", "weir:", "weir:threads=2", "weir:caching=false", "weir:set.commit-interval=10ms", "weir:workers=0",
		"weir:workers=-1", "weir:workers=x", "weir:workers", "weir:workers=2,", "streams:workers=2", "streams:caching=maybe", "streams:json=other",
		"streams:set=1", "streams:jvm.1=", "goka:workers=2", "floor-franz:workers=2",
	} {
		if e, err := Find(name); err == nil {
			t.Errorf("%q is taken: %v", name, e.options)
		}
	}
	for _, name := range []string{
		"weir", "weir-alo:workers=2", "floor-weir:workers=1", "streams:threads=1,caching=false,json=databind",
		"streams:set.statestore.cache.max.bytes=1,jvm.1=-Xmx2g", "goka",
	} {
		if _, err := Find(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}
