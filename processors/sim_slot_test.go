package processors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/simkafka"
)

// simSlot is a machine: it has a disk, and runs one incarnation of an instance at a time.
type simSlot struct {
	w     *simWorld
	n     int
	dir   string
	lives int
	rng   *rand.Rand

	acceptEmpty bool // what is started may begin with empty state
	stoodStill  bool // the process of this life did, for a while

	process *simkafka.Process
	sink    *simSink  // nil: the world has no database
	inst    *Instance // nil: no life
	managed *Managed  // what runs it, in a world with pauses; the instance may be another one by now
	cancel  context.CancelFunc
	done    chan struct{}
	err     error
}

// start begins an instance's next life on the slot's disk.
func (s *simSlot) start() {
	w := s.w
	s.lives++
	s.stoodStill = false
	name := fmt.Sprintf("i%d.%d", s.n, s.lives)
	s.process = w.cluster.Process(name)
	tries := w.tries(name)
	s.sink = w.sink(s.process)
	tries.sink = s.sink
	plan, err := simTopology(tries, w.inputs...).Plan(plan.Names{})
	if err != nil {
		w.problem("plan: %v", err)
		return
	}
	opts := Options{
		Wire: simWire{s.process}, Guarantee: w.guarantee, CommitInterval: w.interval, CommitBytes: w.bytes, Workers: w.workers,
		StateDir: s.dir, InstanceID: fmt.Sprintf("m%d", s.n), Static: w.static, Standby: w.standby, CacheBytes: w.cache, AcceptEmptyState: s.acceptEmpty,
		Log: w.logger(name),
	}
	run := func(ctx context.Context) error { return s.managed.Run(ctx) }
	if s.managed = nil; w.pausing {
		if s.managed, err = NewManaged(plan, opts); err == nil {
			s.inst = s.managed.instance.Load()
		}
	} else if s.inst, err = New(plan, opts); err == nil {
		run = s.inst.Run
	}
	if err != nil {
		w.problem("new: %v", err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan struct{})
	w.note("%s starts", name)
	go func() {
		defer close(s.done)
		s.err = run(ctx)
	}()
}

// instance is the one that lives now, or lived last.
func (s *simSlot) instance() *Instance {
	if s.managed != nil {
		return s.managed.instance.Load()
	}
	return s.inst
}

// stats are those of a whole life.
func (s *simSlot) stats() Stats {
	if s.managed != nil {
		return s.managed.Stats()
	}
	return s.inst.Stats()
}

func (w *simWorld) logger(name string) *zap.Logger {
	if !simTrace() {
		return zap.NewNop()
	}
	enc := zap.NewDevelopmentEncoderConfig()
	enc.TimeKey = ""
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(enc), zapcore.AddSync(writerFunc(func(p []byte) (int, error) {
		w.note("%s LOG %s", name, strings.TrimSpace(string(p)))
		return len(p), nil
	})), zap.DebugLevel))
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (s *simSlot) running() bool {
	if s.inst == nil {
		return false
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// end takes down what is known of a life that is over.
func (s *simSlot) end(crashed bool) {
	w, st, inst := s.w, s.stats(), s.instance()
	w.mu.Lock()
	w.seen.aborts += int(st.Aborts)
	w.seen.commits += int(st.Commits)
	w.seen.rebalances += int(st.Rebalances)
	w.seen.promoted += inst.copies.promoted
	w.seen.retried += int(st.Retried)
	w.seen.delayed += int(inst.metrics.delayed.Load())
	for o, n := range []int64{st.Processed, st.Filtered, st.Deduplicated, st.DeadLettered} {
		w.seen.counts[o] += n
	}
	w.mu.Unlock()
	if sum := st.Processed + st.Filtered + st.Deduplicated + st.DeadLettered; sum != st.Consumed {
		w.problem("%d consumed, and the four counts are %d", st.Consumed, sum)
	}
	// Only the wire stands still with a process here: what paused the topology before ends a life whose workers wait for it.
	_, late := errors.AsType[*noEndError](s.err)
	if frozen := late && s.stoodStill && w.pausing; !crashed && !frozen && s.err != nil {
		w.problem("i%d.%d ended with: %v", s.n, s.lives, s.err)
	}
	s.inst = nil
	if s.sink != nil {
		_ = s.sink.db.Close()
	}
}

// refused waits for a life that must end with a refusal, and says whether it did.
func (s *simSlot) refused(why string) bool {
	const bound = 2 * time.Minute
	select {
	case <-s.done:
	case <-time.After(bound):
		s.w.problem("not refused: %s", why)
		s.stop()
		return false
	}
	var refusal *RefusedTopologyError
	if !errors.As(s.err, &refusal) {
		s.w.problem("not refused: %s: i%d.%d ended with: %v", why, s.n, s.lives, s.err)
		return false
	}
	s.w.note("i%d.%d is refused: %v", s.n, s.lives, s.err)
	s.err = nil
	s.end(false)
	return true
}

// stop ends a life in order, within 5 s.
func (s *simSlot) stop() {
	from := time.Now()
	s.cancel()
	<-s.done
	if took := time.Since(from); took > 5*time.Second {
		s.w.problem("i%d.%d took %s to stop", s.n, s.lives, took)
	}
	s.w.note("i%d.%d stopped: %v", s.n, s.lives, s.err)
	s.end(false)
}

// crash kills the process. What its goroutines still do on their way out has no effect on the cluster or the disk.
func (s *simSlot) crash() {
	open := s.w.cluster.OpenTransactions()
	if s.sink != nil {
		s.sink.door.shut.Store(true)
	}
	s.process.Crash()
	// What is on the disk now is what the next life finds. This one closes its databases on its way out, which a killed
	// process does not.
	now := s.dir + ".now"
	_ = os.CopyFS(now, os.DirFS(s.dir))
	s.cancel()
	<-s.done
	_ = os.RemoveAll(s.dir)
	_ = os.Rename(now, s.dir)
	s.w.mu.Lock()
	s.w.seen.crashes++
	for _, o := range open {
		if strings.HasPrefix(o, fmt.Sprintf("transactional id %s-m%d-", simGroup, s.n)) {
			s.w.seen.crashedInTransaction++
			break
		}
	}
	s.w.mu.Unlock()
	s.w.note("i%d.%d crashed", s.n, s.lives)
	s.end(true)
}

// ruin does to a disk what can happen while a machine is down.
func (s *simSlot) ruin() {
	w, keep := s.w, s.dir+".older"
	w.mu.Lock()
	defer w.mu.Unlock()
	switch s.rng.IntN(7) {
	case 0:
		w.seen.deleted++
		_ = os.RemoveAll(s.dir)
	case 1: // an older copy is put back
		if _, err := os.Stat(keep); err == nil {
			w.seen.older++
			_ = os.RemoveAll(s.dir)
			_ = os.CopyFS(s.dir, os.DirFS(keep))
		}
	case 2: // a backup is made
		_ = os.RemoveAll(keep)
		_ = os.CopyFS(keep, os.DirFS(s.dir))
	case 3: // the power failed: the end of what was written is torn
		w.seen.torn++
		logs, _ := filepath.Glob(filepath.Join(s.dir, "*", "*", "*", "*.log"))
		for _, name := range logs {
			if info, err := os.Stat(name); err == nil && info.Size() > 0 {
				_ = os.Truncate(name, s.rng.Int64N(info.Size()+1))
			}
		}
	}
}

// live is a slot's life while faults rain.
func (s *simSlot) live(until time.Time) {
	nap := func(most time.Duration) { time.Sleep(time.Duration(s.rng.Int64N(int64(most)))) }
	nap(2 * time.Second)
	for time.Now().Before(until) {
		if s.inst == nil {
			s.start()
		}
		nap(6 * time.Second)
		if !s.running() {
			s.end(false)
			continue
		}
		switch s.rng.IntN(6) {
		case 0:
			s.crash()
			s.ruin()
			nap(12 * time.Second)
		case 1:
			s.stop()
			s.ruin()
			nap(4 * time.Second)
		case 2:
			if s.w.guarantee == AtLeastOnce {
				continue // a zombie's changes can come after newer ones: state is not exact then
			}
			s.process.Pause()
			s.stoodStill = true
			s.w.mu.Lock()
			s.w.seen.pauses++
			s.w.mu.Unlock()
			nap(25 * time.Second)
			s.process.Resume()
			if time.Sleep(time.Second); !s.running() {
				s.end(false)
			}
		case 3:
			long := 12 * time.Second
			if s.w.guarantee == AtLeastOnce {
				long = 4 * time.Second // see above
			}
			s.process.CutOff()
			nap(long)
			s.process.Reconnect()
		}
	}
}
