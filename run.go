package weir

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/processors"
	"github.com/weirstream/weir/topology"
)

// Run is one instance of a topology: it joins the topology's consumer group and processes until ctx is cancelled. Then it
// commits, leaves the group and returns nil, within 5 seconds. A node that does not return although its Context has ended cannot be
// stopped: then Run returns an error after 4 seconds that names it, and the call goes on without effect until the program ends.
//
// It returns an error when the instance cannot start or cannot go on: what "run" of the command line refuses is refused
// here, in the same words, of which those for operators name flags, such as --accept-empty-state; the setting of that name in
// Options.Settings is meant. A topology that does not fit the cluster or its state is a *processors.RefusedTopologyError, a
// node that stops the instance a *processors.FatalError, and each wrong setting a *processors.SettingError (all that are wrong are
// joined; errors.As finds the first); ExitCode tells mistakes in the options (2) from other failures (1).
//
// Several instances may run in one process: of different topologies, or of one topology with a state folder each.
func Run(ctx context.Context, t *topology.Topology, o Options) error {
	return cli.Embedded{Topology: t, Settings: o.given(), Log: o.Logger, Metrics: o.Metrics, Hooks: o.Hooks}.Run(ctx)
}

// Options of Run. The zero value of a field means its default. What they have no field for is in Settings.
type Options struct {
	// Brokers are the addresses to begin with, HOST:PORT; one that answers is enough. Required.
	Brokers []string
	// Security says how connections are encrypted and authenticated. Default: not at all.
	Security Security
	// Guarantee is processors.ExactlyOnce (default) or processors.AtLeastOnce.
	Guarantee processors.Guarantee
	// CommitInterval is the longest time that a record's effects wait for their commit. Default 100ms. A call of a node that takes
	// longer holds up the effects of the records before it on its worker too.
	CommitInterval time.Duration
	// Workers is the number of goroutines that run tasks. Default: twice that of the CPUs that Go uses.
	Workers int
	// StateDir is the folder of the stores' databases. It is required where the topology has stores; no other instance may use it
	// at the same time. Without one nothing is written to disk.
	StateDir string
	// TopicPrefix stands before the names of all topics, the group and the transactional ids, such as "staging.": several environments
	// can share a cluster. Streams that are topology.Unprefixed keep their name. Default: none.
	TopicPrefix string
	// CreateTopics has missing topics of the topology created. Default: only those that are Weir's own, at the first start.
	CreateTopics bool
	// HTTP is the address, HOST:PORT, at which metrics and health are served; without a host it is for this machine only.
	// Default: nothing is served.
	HTTP string
	// Logger takes what the instance has to say. It is as talkative as its level allows: info says what operators want to know.
	// Default: none, so that a problem shows only in the error of Run, in metrics and in hooks.
	Logger *zap.Logger
	// Metrics is where the instance registers its metrics while it runs (docs/metrics.md). One registry takes instances of several topologies;
	// for several of one topology give each its own label with prometheus.WrapRegistererWith. With HTTP it must be able to
	// gather them, as a *prometheus.Registry is. Default: none, and with HTTP a registry for what is served there.
	Metrics prometheus.Registerer
	// Hooks are called when something happens: see processors.Hook.
	Hooks []processors.Hook
	// Settings are all other settings (docs/configuration.md) by their names, in the text form that a config file has:
	// "transaction.timeout.ms": "15000". One that has a field here too is given in one of the two places. The settings config,
	// topology, log-level and log-format are refused. Environment variables are not read.
	Settings map[string]string
}

// Security says how connections to brokers are encrypted and authenticated. The names in brackets are those of the settings.
// There is no way to switch the check of the broker's certificate off.
type Security struct {
	Protocol            string // PLAINTEXT (default), SSL, SASL_PLAINTEXT or SASL_SSL (security.protocol)
	CALocation          string // PEM file with the authorities to trust instead of the system's (ssl.ca.location)
	CertificateLocation string // PEM file with this client's certificate and its intermediates (ssl.certificate.location)
	KeyLocation         string // PEM file with the key of the certificate (ssl.key.location)
	ServerName          string // that brokers' certificates must carry instead of the host's name (ssl.server.name)
	Mechanism           string // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER (sasl.mechanism)
	Username            string // for PLAIN and SCRAM (sasl.username)
	Password            Secret // for PLAIN and SCRAM; or PasswordFile (sasl.password)
	PasswordFile        string // (sasl.password.file)
	Token               Secret // for OAUTHBEARER; or TokenFile (sasl.oauthbearer.token)
	TokenFile           string // read again for every connection (sasl.oauthbearer.token.file)
}

// Secret is a password or token. Whatever prints it, prints a placeholder.
type Secret = kafka.Secret

// NewSecret hides a text.
func NewSecret(text string) Secret { return kafka.NewSecret(text) }

// given are the options as settings. A value that is zero is not given.
func (o *Options) given() (list []settings.Given) {
	add := func(field, text string, s *settings.Setting) {
		if text != "" {
			list = append(list, settings.Given{Name: s.Name, Text: text, Place: "Options." + field})
		}
	}
	add("Brokers", strings.Join(o.Brokers, ","), settings.Brokers.Setting)
	add("Security.Protocol", o.Security.Protocol, settings.SecurityProtocol.Setting)
	add("Security.CALocation", o.Security.CALocation, settings.CALocation.Setting)
	add("Security.CertificateLocation", o.Security.CertificateLocation, settings.CertificateLocation.Setting)
	add("Security.KeyLocation", o.Security.KeyLocation, settings.KeyLocation.Setting)
	add("Security.ServerName", o.Security.ServerName, settings.ServerName.Setting)
	add("Security.Mechanism", o.Security.Mechanism, settings.SASLMechanism.Setting)
	add("Security.Username", o.Security.Username, settings.SASLUsername.Setting)
	add("Security.Password", o.Security.Password.Reveal(), settings.SASLPassword.Setting)
	add("Security.PasswordFile", o.Security.PasswordFile, settings.SASLPasswordFile.Setting)
	add("Security.Token", o.Security.Token.Reveal(), settings.SASLToken.Setting)
	add("Security.TokenFile", o.Security.TokenFile, settings.SASLTokenFile.Setting)
	add("Guarantee", string(o.Guarantee), settings.Guarantee.Setting)
	add("CommitInterval", unlessZero(o.CommitInterval, time.Duration.String), settings.CommitInterval.Setting)
	add("Workers", unlessZero(o.Workers, strconv.Itoa), settings.Workers.Setting)
	add("StateDir", o.StateDir, settings.StateDir.Setting)
	add("TopicPrefix", o.TopicPrefix, settings.TopicPrefix.Setting)
	add("CreateTopics", unlessZero(o.CreateTopics, strconv.FormatBool), settings.CreateTopics.Setting)
	add("HTTP", o.HTTP, settings.HTTP.Setting)
	for _, name := range slices.Sorted(maps.Keys(o.Settings)) {
		list = append(list, settings.Given{Name: name, Text: o.Settings[name], Place: fmt.Sprintf("Options.Settings[%q]", name)})
	}
	return list
}

// unlessZero is the text form of a value, and "" for zero.
func unlessZero[T comparable](value T, text func(T) string) string {
	var zero T
	if value == zero {
		return ""
	}
	return text(value)
}
