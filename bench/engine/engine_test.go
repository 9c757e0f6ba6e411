package engine

import (
	"testing"
	"time"

	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/processors"
)

// TestAnOptionWithoutEffectIsRefused asks engines for what they do not have, and for values that they cannot take. Mutations: no check of
// the engine's own options; no check of the number; settings taken that the bench decides.
func TestAnOptionWithoutEffectIsRefused(t *testing.T) {
	for _, name := range []string{
		"", "nothing", "weir,streams:threads=1", "weir:", "weir:threads=2", "weir:caching=false", "weir:set.nothing=1", "weir:set.cache-bytes=x", "weir:set.cache-bytes=", "weir:set.state-dir=/tmp", "floor-weir:set.cache-bytes=1MiB", "weir:workers=0",
		"weir:workers=-1", "weir:workers=x", "weir:workers", "weir:workers=2,", "streams:workers=2", "streams:caching=maybe", "streams:json=other",
		"streams:set=1", "streams:jvm.1=", "goka:workers=2", "floor-franz:workers=2",
	} {
		if e, err := Find(name); err == nil {
			t.Errorf("%q is taken: %v", name, e.options)
		}
	}
	for _, name := range []string{
		"weir", "weir-alo:workers=2,set.cache-bytes=64MiB", "weir:set.commit-interval=10ms", "floor-weir:workers=1", "streams:threads=1,caching=false,json=databind",
		"streams:set.statestore.cache.max.bytes=1,jvm.1=-Xmx2g", "goka",
	} {
		if _, err := Find(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestSettingsOfAnEngineComeBeforeThoseOfTheJob gives an engine a commit interval and a cache. Mutation: options of the engine
// not given on.
func TestSettingsOfAnEngineComeBeforeThoseOfTheJob(t *testing.T) {
	e, err := Find("weir:set.commit-interval=20ms,set.cache-bytes=64MiB,set.session.timeout.ms=6000")
	if err != nil {
		t.Fatal(err)
	}
	j := e.adapt(job.Job{Brokers: []string{"127.0.0.1:9092"}, StateDir: "state", Interval: time.Second, Workers: 3, Static: true, Copies: 1})
	client, opts, err := weirSettings(j, AtLeastOnce)
	if err != nil {
		t.Fatal(err)
	}
	if opts.CommitInterval != 20*time.Millisecond || opts.CacheBytes != 64<<20 || client.Group.SessionTimeout != 6*time.Second {
		t.Errorf("interval %v, cache %d, session %v: not those of the engine", opts.CommitInterval, opts.CacheBytes, client.Group.SessionTimeout)
	}
	if opts.Workers != 3 || opts.StateDir != "state" || opts.InstanceID != "bench" || !opts.Static || opts.Standby != 1 || opts.Guarantee != processors.AtLeastOnce {
		t.Errorf("%+v: not what the job needs", opts)
	}
}
