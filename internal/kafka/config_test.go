package kafka

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestZeroSettingsAreTheDefaults(t *testing.T) {
	cfg := Config{Brokers: []string{"a:1"}}
	if err := cfg.Check(); err != nil {
		t.Error(err)
	}
	c := cfg.WithDefaults()
	if c.ClientID != "weir" || c.Sink.TransactionTimeout != 10*time.Second || c.Sink.MaxInFlight != 5 ||
		c.Group.SessionTimeout != 10*time.Second || c.Group.HeartbeatInterval != time.Second || c.Security.Protocol != "PLAINTEXT" {
		t.Errorf("got %+v", c)
	}
	if cfg.ClientID != "" {
		t.Error("WithDefaults changed its receiver")
	}
}

// Mutation: a line of checkNumbers or checkAddresses removed.
func TestSettingsThatCannotWorkAreAllNamedAtOnce(t *testing.T) {
	cfg := Config{
		Brokers:         []string{"fine:9092", "noport", ":9092", "host:", "http://host:9092"},
		RequestTimeout:  time.Second,
		RetryBackoff:    time.Minute,
		RetryBackoffMax: time.Second,
		MetadataMaxAge:  -1,
		Sink: SinkTuning{
			Compression: "zip", MaxInFlight: 6, BufferMemory: -1, MaxRequestSize: 1 << 30, DeliveryTimeout: time.Millisecond,
			TransactionTimeout: time.Microsecond,
		},
		Fetch: FetchTuning{MaxWait: time.Hour, MinBytes: -1, MaxBytes: 100 << 10, MaxAnswer: 200<<10 - 1},
		Group: GroupTuning{SessionTimeout: time.Second, HeartbeatInterval: time.Second},
	}
	err := cfg.Check()
	for _, want := range []string{
		`bootstrap.servers: "noport": missing port in address`,
		`bootstrap.servers: ":9092": want HOST:PORT`,
		`bootstrap.servers: "host:": want HOST:PORT`,
		`bootstrap.servers: "http://host:9092": too many colons`,
		"retry.backoff.max.ms: 1s is under retry.backoff.ms, 1m0s",
		"metadata.max.age.ms: -1ns is under a millisecond",
		`compression.type: "zip" is none of none, gzip, snappy, lz4, zstd`,
		"max.in.flight.requests.per.connection: 6 is not within 1 and 5",
		"buffer.memory: -1 is not within",
		"max.request.size: 1073741824 is not within 1 and 104857600",
		"delivery.timeout.ms: 1ms is under request.timeout.ms, 1s",
		"transaction.timeout.ms: 1µs is under a millisecond",
		"fetch.max.wait.ms: 1h0m0s is not under request.timeout.ms, 1s",
		"fetch.min.bytes: -1 is not within",
		"max.answer.bytes: 204799 is not within twice fetch.max.bytes, 102400, and 2147483647",
		"heartbeat.interval.ms: 1s is not under session.timeout.ms, 1s",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 16 {
		t.Errorf("%d errors:\n%v", n, err)
	}
	saysAsData(t, err)
	if err := (Config{}).Check(); err == nil || err.Error() != "bootstrap.servers: no address given" {
		t.Errorf("without an address: %v", err)
	}
}

var settingNames = regexp.MustCompile(`\b(?:[a-z]+\.){1,}[a-z]+\b|startup-timeout`)

// saysAsData demands that every mistake says which settings it concerns, as its text does.
//
// Mutations seen to fail it: Errorf without the settings; heartbeat.interval.ms without session.timeout.ms; a mistake of
// ssl.key.location that says ssl.certificate.location.
func saysAsData(t *testing.T, err error) {
	t.Helper()
	for _, e := range flatten(err) {
		wrong, ok := errors.AsType[*SettingError](e)
		if !ok {
			t.Errorf("%v is no *SettingError", e)
			continue
		}
		text, _, _ := strings.Cut(wrong.Error(), "/") // what follows is a path
		if named := settingNames.FindAllString(text, -1); !slices.Equal(slices.Compact(named), wrong.Settings[:min(len(named), len(wrong.Settings))]) {
			t.Errorf("%v says as data %q", e, wrong.Settings)
		}
	}
}
