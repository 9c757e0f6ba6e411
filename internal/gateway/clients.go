package gateway

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/yamlfile"
)

// Clients are those who may come in, and what each may do. Nil is nobody's list: then only this machine may, and may do everything.
type Clients struct {
	JWT *JWT

	list          []*Client
	byKey         map[[sha256.Size]byte]*Client
	bySubject     map[string]*Client
	byCertificate map[string]*Client
}

// Client is one of them.
type Client struct {
	Name   string
	topics []string // prefixes
	quota  *quota
}

// clientsFile is the form of the file. Keys are hashed: who reads the file can not come in with it.
type clientsFile struct {
	JWT *struct {
		Issuer   string `yaml:"issuer"`
		Audience string `yaml:"audience"`
		JWKS     string `yaml:"jwks"`
		Claim    string `yaml:"claim"`
	} `yaml:"jwt"`
	Clients []struct {
		Name            string   `yaml:"name"`
		Keys            []string `yaml:"keys"`
		Subject         string   `yaml:"subject"`
		Certificate     string   `yaml:"certificate"`
		Topics          []string `yaml:"topics"`
		EventsPerSecond float64  `yaml:"events_per_second"`
		BytesPerSecond  float64  `yaml:"bytes_per_second"`
	} `yaml:"clients"`
}

const keyHash = "sha256:"

// HashKey is an API key as the file has it.
func HashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return keyHash + hex.EncodeToString(sum[:])
}

// ParseClients reads the file.
func ParseClients(data []byte) (*Clients, error) {
	var f clientsFile
	if err := yamlfile.Decode(data, &f); err != nil {
		return nil, err
	}
	c := &Clients{byKey: map[[sha256.Size]byte]*Client{}, bySubject: map[string]*Client{}, byCertificate: map[string]*Client{}}
	names := map[string]bool{}
	for i, in := range f.Clients {
		if in.Name == "" || in.Name == "*" || names[in.Name] {
			return nil, fmt.Errorf("client %d has the name %q: give each a name of its own", i+1, in.Name)
		}
		names[in.Name] = true
		if len(in.Keys) == 0 && in.Subject == "" && in.Certificate == "" {
			return nil, fmt.Errorf("client %s has nothing to be known by: give it keys, a subject or a certificate", in.Name)
		}
		if in.EventsPerSecond < 0 || in.BytesPerSecond < 0 {
			return nil, fmt.Errorf("client %s has a quota below 0", in.Name)
		}
		if slices.ContainsFunc(in.Topics, func(prefix string) bool { return strings.TrimSpace(prefix) == "" }) {
			return nil, fmt.Errorf("client %s has an empty prefix of topics: write \"*\" for all topics", in.Name)
		}
		if in.Subject != "" && f.JWT == nil {
			return nil, fmt.Errorf("client %s has a subject, and the file no jwt with the issuer of its tokens", in.Name)
		}
		client := &Client{Name: in.Name, topics: in.Topics, quota: newQuota(in.EventsPerSecond, in.BytesPerSecond)}
		c.list = append(c.list, client)
		for _, key := range in.Keys {
			text, ok := strings.CutPrefix(key, keyHash)
			sum, err := hex.DecodeString(text)
			if !ok || err != nil || len(sum) != sha256.Size {
				return nil, fmt.Errorf("client %s has a key that is not %s and 64 hexadecimal digits: weir gateway key makes one", in.Name, keyHash)
			}
			if other := c.byKey[[sha256.Size]byte(sum)]; other != nil {
				return nil, fmt.Errorf("clients %s and %s have the same key", other.Name, in.Name)
			}
			c.byKey[[sha256.Size]byte(sum)] = client
		}
		for name, m := range map[string]map[string]*Client{in.Subject: c.bySubject, in.Certificate: c.byCertificate} {
			if name == "" {
				continue
			}
			if other := m[name]; other != nil {
				return nil, fmt.Errorf("clients %s and %s are both known by %q", other.Name, in.Name, name)
			}
			m[name] = client
		}
	}
	if f.JWT != nil {
		var err error
		if c.JWT, err = newJWT(f.JWT.Issuer, f.JWT.Audience, f.JWT.JWKS, f.JWT.Claim); err != nil {
			return nil, fmt.Errorf("jwt: %w", err)
		}
	}
	if len(c.list) == 0 {
		return nil, errors.New("the file has no client")
	}
	return c, nil
}

// WantCertificates says whether a client is known by a certificate.
func (c *Clients) WantCertificates() bool { return c != nil && len(c.byCertificate) > 0 }

// here is who asks on this machine where nobody needs credentials.
var here = &Client{Name: "local", topics: []string{""}, quota: newQuota(0, 0)}

// certified finds the client of a certificate: by its common name, or one of its alternative names.
func (c *Clients) certified(cert *x509.Certificate) *Client {
	for _, name := range names(cert) {
		if client := c.byCertificate[name]; client != nil {
			return client
		}
	}
	return nil
}

// names are what a certificate may be known by.
func names(cert *x509.Certificate) []string {
	list := append([]string{cert.Subject.CommonName}, cert.DNSNames...)
	for _, u := range cert.URIs {
		list = append(list, u.String())
	}
	return slices.DeleteFunc(append(list, cert.EmailAddresses...), func(name string) bool { return name == "" })
}

// allow says whether a client may publish to a topic, by the file or by what is declared of the topic.
func (c *Client) allow(topic string, d *declared.Event) *Problem {
	for _, prefix := range c.topics {
		if strings.HasPrefix(topic, strings.TrimSuffix(prefix, "*")) {
			return nil
		}
	}
	if d != nil {
		for _, other := range d.Clients {
			if other.Name == c.Name || other.Name == "*" {
				return nil
			}
		}
	}
	return forbidden.of("client %s may not publish to topic %s", c.Name, topic)
}
