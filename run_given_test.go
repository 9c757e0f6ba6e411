package weir

import (
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/processors"
)

// TestOptionsAreTheSettingsThatTheyName: every field reaches its setting, and none that is zero does.
//
// Mutations tried: two fields swapped; a field left out.
func TestOptionsAreTheSettingsThatTheyName(t *testing.T) {
	o := Options{
		Brokers: []string{"a:1", "b:2"},
		Security: Security{
			Protocol: "SASL_SSL", CALocation: "ca", CertificateLocation: "cert", KeyLocation: "key", ServerName: "server", Mechanism: "PLAIN",
			Username: "user", Password: NewSecret("password"), PasswordFile: "password-file", Token: NewSecret("token"), TokenFile: "token-file",
		},
		Guarantee: processors.AtLeastOnce, CommitInterval: 7 * time.Second, Workers: 3, StateDir: "state", CreateTopics: true, HTTP: ":9090", TopicPrefix: "staging.",
		Settings: map[string]string{"client.id": "me"},
	}
	given := o.given()
	v, err := settings.Resolve(settings.Sources{Program: given})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range settings.Table() {
		for _, g := range given {
			if g.Name == s.Name {
				got[s.Name] = g.Text
			}
		}
	}
	if want := map[string]string{
		"brokers": "a:1,b:2", "security.protocol": "SASL_SSL", "ssl.ca.location": "ca", "ssl.certificate.location": "cert", "ssl.key.location": "key",
		"ssl.server.name": "server", "sasl.mechanism": "PLAIN", "sasl.username": "user", "sasl.password": "password", "sasl.password.file": "password-file",
		"sasl.oauthbearer.token": "token", "sasl.oauthbearer.token.file": "token-file", "guarantee": "at_least_once", "commit-interval": "7s",
		"workers": "3", "state-dir": "state", "create-topics": "true", "http": ":9090", "topic.prefix": "staging.", "client.id": "me",
	}; !maps.Equal(got, want) {
		t.Errorf("given: %v\nwant:  %v", got, want)
	}
	if settings.CommitInterval.Of(v) != 7*time.Second || settings.Workers.Of(v) != 3 || !settings.CreateTopics.Of(v) {
		t.Error("the values are others")
	}
	for _, value := range []any{o, o.Security} {
		for i, fields := 0, reflect.ValueOf(value); i < fields.NumField(); i++ {
			if name := fields.Type().Field(i).Name; fields.Field(i).IsZero() && name != "Logger" && name != "Metrics" && name != "Hooks" {
				t.Errorf("%s is not shown", name)
			}
		}
	}
	if zero := (&Options{}).given(); len(zero) != 0 {
		t.Errorf("nothing is given, and %v", zero)
	}
}
