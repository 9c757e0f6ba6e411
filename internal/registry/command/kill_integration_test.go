//go:build integration && unix

package command_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/kafkatest"
)

// server is `weir registry run` as a process of its own, at one address through all its lives.
type server struct {
	t             *testing.T
	binary, topic string
	brokers, addr string
	cmd           *exec.Cmd
}

// launch starts the process, and start waits until it answers.
func (s *server) launch() {
	s.t.Helper()
	s.cmd = exec.Command(s.binary, "registry", "run", "--http", s.addr, "--brokers", s.brokers, "--topic", s.topic)
	if testing.Verbose() {
		s.cmd.Stderr = os.Stderr
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) start() {
	s.t.Helper()
	s.launch()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if res, err := http.Get("http://" + s.addr + "/subjects"); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == 200 {
				return
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the server does not answer")
		}
	}
}

func (s *server) end(sig syscall.Signal) (code int) {
	_ = s.cmd.Process.Signal(sig)
	_ = s.cmd.Wait() // ProcessState tells
	return s.cmd.ProcessState.ExitCode()
}

// build makes the command.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "weir")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/weirstream/weir/cmd/weir").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// Two servers of one topic, clients at both, and the one that writes is killed again and again: each schema that was acknowledged
// is in the topic under the id that the client was told, and no id is that of two schemas.
func TestNoAcknowledgedSchemaIsLostWhenTheWriterIsKilled(t *testing.T) {
	cluster := theCluster(t)
	brokers := strings.Join(cluster.Addrs(), ",")
	binary := build(t)
	topic := fmt.Sprint("schemas-", time.Now().UnixNano())
	var servers []*server
	for range 2 {
		s := &server{t: t, binary: binary, topic: topic, brokers: brokers, addr: kafkatest.FreeAddress(t)}
		s.start()
		t.Cleanup(func() { s.end(syscall.SIGKILL) })
		servers = append(servers, s)
	}
	const clients, rounds = 4, 4
	acknowledged := make([]map[string]int, clients) // text of the schema -> id
	kills := make(chan struct{})
	var written atomic.Int64
	var wg sync.WaitGroup
	for c := range clients {
		acknowledged[c] = map[string]int{}
		wg.Go(func() {
			client := &http.Client{Timeout: 20 * time.Second}
			defer client.CloseIdleConnections()
			for n := 0; ; n++ {
				select {
				case <-kills:
					return
				default:
				}
				text := fmt.Sprintf(`{"type":"enum","name":"E%d_%d","symbols":["A"]}`, c, n)
				body, _ := json.Marshal(map[string]string{"schema": text})
				for try := 0; ; try++ {
					select {
					case <-kills:
						return
					default:
					}
					res, err := client.Post(fmt.Sprintf("http://%s/subjects/s%d-%d/versions", servers[(c+try)%2].addr, c, n), "application/json", strings.NewReader(string(body)))
					if err != nil {
						continue
					}
					var answer struct{ ID int }
					data, _ := io.ReadAll(res.Body)
					_ = res.Body.Close()
					if json.Unmarshal(data, &answer) == nil && answer.ID > 0 {
						acknowledged[c][text] = answer.ID
						written.Add(1)
						break
					}
				}
			}
		})
	}
	more := func(n int64) {
		t.Helper()
		deadline := time.Now().Add(patience)
		for until := written.Load() + n; written.Load() < until; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Error("the servers take nothing more")
				return
			}
		}
	}
	for round := range rounds {
		more(3 * clients)
		victim := servers[round%2] // the other one has taken the topic in the round before, or does now
		victim.end(syscall.SIGKILL)
		more(2 * clients) // more than are under way: the other one has it
		victim.start()
	}
	close(kills)
	wg.Wait()
	for _, s := range servers {
		began := time.Now()
		if code := s.end(syscall.SIGTERM); code != 0 || time.Since(began) > 45*time.Second { // 5 s, where the machine is not busy
			t.Errorf("after SIGTERM: exit code %d after %v", code, time.Since(began))
		}
	}

	// The judge reads the topic itself.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := kafka.Dial(ctx, kafka.Config{Brokers: cluster.Addrs()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tp := kafka.TopicPartition{Topic: topic}
	ends, err := c.Ends(ctx, []kafka.TopicPartition{tp})
	if err != nil {
		t.Fatal(err)
	}
	f := c.NewFetcher(64 << 20)
	defer f.Close()
	done := make(chan struct{})
	ids, texts := map[string]int{}, map[int]string{}
	claims := 0
	var failure error
	f.Start(tp, kafka.At(0), func(b kafka.Batch) {
		for i := range b.Records {
			var v struct {
				ID     int
				Schema string
			}
			if !strings.Contains(string(b.Records[i].Key), `"SCHEMA"`) {
				claims++
				continue
			}
			_ = json.Unmarshal(b.Records[i].Value, &v)
			if other, ok := texts[v.ID]; ok && other != v.Schema {
				failure = fmt.Errorf("id %d is that of %s and of %s", v.ID, other, v.Schema)
			}
			texts[v.ID], ids[v.Schema] = v.Schema, v.ID
		}
		if b.Err != nil {
			failure = b.Err
		}
		if b.Err != nil || b.Position >= ends[tp] {
			f.Release(tp, b.Bytes)
			select {
			case <-done:
			default:
				close(done)
			}
			return
		}
		f.Release(tp, b.Bytes)
	})
	<-done
	f.Stop(tp)
	if failure != nil {
		t.Error(failure)
	}
	n := 0
	for _, all := range acknowledged {
		for text, id := range all {
			n++
			if ids[text] != id {
				t.Errorf("%s was acknowledged under id %d and is in the topic under %d", text, id, ids[text])
			}
		}
	}
	t.Logf("%d schemas acknowledged, %d in the topic, written by %d claims", n, len(ids), claims)
	if n < 10*clients || claims < 3 {
		t.Errorf("only %d schemas were acknowledged and the topic claimed %d times: nothing is shown", n, claims)
	}
}
