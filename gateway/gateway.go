// Package gateway is the door by which producers' events come in, as an http.Handler to mount in a program: what `weir gateway run`
// serves. docs/gateway.md describes the API, and so does the resource /openapi.json.
//
// 2xx is answered only for events that all in-sync replicas have; what is refused has changed nothing. Who may publish is in
// Options.Clients; without it only requests of this machine are answered, and everything may be published.
//
// The server around it should bound headers, idle connections and their number; bodies are bounded here. It must not have a ReadTimeout where
// streams are to last longer than that. HTTP/2 is not needed.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/gateway"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/registry"
)

// Options of a Gateway. The zero value of a field means its default.
type Options struct {
	// Brokers are the addresses to begin with, HOST:PORT; one that answers is enough. Required.
	Brokers []string
	// Settings are those of the connection to brokers, and topic.prefix, by their names (docs/configuration.md), such as
	// "security.protocol". Default: none.
	Settings map[string]string
	// Schemas finds the schemas of topics: a *registry.Client, say. It stays its owner's. Default: the topic _schemas on the brokers.
	Schemas registry.Source
	// Clients is the text of the file of clients (docs/gateway.md). Default: whoever asks on this machine, and nobody else.
	Clients []byte
	// Foreign has events taken for topics that are not named entity.event_type.vN. Default: they are refused.
	Foreign bool
	// Origins are those of web pages that may use the gateway from browsers, as https://shop.example.org or https://*.example.org; "*" is
	// all of them, with Clients only. Default: none.
	Origins []string
	// URL is where other gateways reach this one, and PeerToken the secret by which they know each other; of several, with spaces between
	// them, the first is shown and each is known. PeerTLS is how others with https are met. Default: the system's certificates. Gateways
	// forward events of topics that take each id once. Without a URL they take such events from each other, which is slow; with one that
	// others can reach, and without a token that they know, such events are refused there.
	URL       string
	PeerToken string
	PeerTLS   *tls.Config
	// Logger takes what the gateway has to say, refusals too. Default: none.
	Logger *zap.Logger
	// Metrics is where the gateway registers its metrics until Close. Default: none.
	Metrics prometheus.Registerer
}

// Gateway is an http.Handler. It may be used from several goroutines.
type Gateway struct {
	inner  *gateway.Gateway
	client *kafka.Client
	close  func()
}

// New connects to the brokers and returns when requests can be answered. Its error is a wrong option, or that of the connection.
func New(ctx context.Context, o Options) (*Gateway, error) {
	given := []settings.Given{{Name: settings.Brokers.Name, Text: strings.Join(o.Brokers, ","), Place: "Options.Brokers"}}
	for name, text := range o.Settings {
		given = append(given, settings.Given{Name: name, Text: text, Place: "Options.Settings"})
	}
	v, err := settings.Resolve(settings.Sources{Program: given})
	if err != nil {
		return nil, err
	}
	conf, err := cli.ClientConfig(v)
	if err != nil {
		return nil, err
	}
	c := gateway.Config{Schemas: o.Schemas, Foreign: o.Foreign, Origins: o.Origins, URL: o.URL, PeerToken: o.PeerToken, PeerTLS: o.PeerTLS, Log: o.Logger, Metrics: o.Metrics, Prefix: settings.TopicPrefix.Of(v)}
	if o.Clients != nil {
		if c.Clients, err = gateway.ParseClients(o.Clients); err != nil {
			return nil, errors.Join(errors.New("Options.Clients"), err)
		}
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	g := &Gateway{close: func() {}}
	if g.client, err = kafka.Dial(ctx, gateway.Patient(conf), c.Log); err != nil {
		return nil, err
	}
	c.Client = g.client
	if c.Schemas == nil {
		schemas, err := gateway.OpenTopicSchemas(ctx, g.client, c.Log)
		if err != nil {
			return nil, errors.Join(err, g.client.Close())
		}
		c.Schemas, g.close = schemas, schemas.Close
	}
	if g.inner, err = gateway.New(ctx, c); err != nil {
		g.close()
		return nil, errors.Join(err, g.client.Close())
	}
	return g, nil
}

// ServeHTTP implements http.Handler. The paths are those of the API, from the root: mount it under another one with http.StripPrefix.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.inner.ServeHTTP(w, r) }

// Close refuses new requests with 503, waits for the answers of those under way as long as ctx allows, and ends the connections. Shut the
// server down before or after it, not instead.
func (g *Gateway) Close(ctx context.Context) error {
	g.inner.Drain(ctx)
	g.inner.Close(ctx)
	g.close()
	return g.client.Close()
}
