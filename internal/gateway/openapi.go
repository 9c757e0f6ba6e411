package gateway

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// OpenAPI is the description of the API, made from its routes and the Go types of what they take and answer.
var OpenAPI = sync.OnceValue(func() []byte {
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "Weir gateway", Version: "1", Description: "Takes events of producers. 2xx is answered when all in-sync replicas have the event."},
		Paths:   map[string]*huma.PathItem{},
		Components: &huma.Components{Schemas: schemas, SecuritySchemes: map[string]*huma.SecurityScheme{
			"bearer": {Type: "http", Scheme: "bearer", Description: "an API key, or a token of the issuer that the gateway knows"},
			"basic":  {Type: "http", Scheme: "basic", Description: "the client's name and an API key"},
			"key":    {Type: "apiKey", In: "header", Name: "X-Api-Key"},
		}},
		Security: []map[string][]string{{"bearer": {}}, {"basic": {}}, {"key": {}}, {}},
	}
	of := func(m media) map[string]*huma.MediaType {
		return map[string]*huma.MediaType{m.form: {Schema: schemaOf(schemas, m.sample)}}
	}
	for _, r := range routes {
		op := &huma.Operation{OperationID: r.operation, Summary: r.summary, Responses: map[string]*huma.Response{}}
		for _, name := range inBraces.FindAllStringSubmatch(r.path, -1) {
			op.Parameters = append(op.Parameters, &huma.Param{Name: name[1], In: "path", Required: true, Schema: &huma.Schema{Type: "string", MinLength: new(1)}})
		}
		for _, p := range r.params {
			s := &huma.Schema{Type: p.kind}
			if p.name == "Idempotency-Key" {
				s.MinLength = new(1)
			}
			op.Parameters = append(op.Parameters, &huma.Param{Name: p.name, In: p.in, Description: p.doc, Schema: s})
		}
		if len(r.bodies) > 0 {
			op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
			for _, m := range r.bodies {
				op.RequestBody.Content[m.form] = &huma.MediaType{Schema: schemaOf(schemas, m.sample)}
			}
		}
		op.Responses[strconv.Itoa(r.status)] = &huma.Response{Description: "accepted", Content: of(r.answer)}
		if r.operation == "publishEvents" {
			op.Responses["200"].Content[ndjsonType] = &huma.MediaType{Schema: &huma.Schema{Type: "string"}}
			op.Responses["200"].Content[jsonType] = &huma.MediaType{Schema: &huma.Schema{OneOf: []*huma.Schema{schemaOf(schemas, Answer{}), schemaOf(schemas, Answers{})}}}
			op.Responses["207"] = &huma.Response{Description: "some events were accepted, each has its status", Content: of(media{jsonType, Answers{}})}
		}
		for _, k := range kindsOfEvents {
			status := strconv.Itoa(k.status)
			if op.Responses[status] == nil && (len(r.bodies) > 0 || k.status == http.StatusUnauthorized || k.status == http.StatusForbidden || k.status == http.StatusServiceUnavailable) {
				content := of(r.failure)
				if k.status == http.StatusUnauthorized || k.status == http.StatusForbidden || k.status == http.StatusServiceUnavailable {
					content[problemMedia.form] = &huma.MediaType{Schema: schemaOf(schemas, Problem{})}
				}
				op.Responses[status] = &huma.Response{Description: k.title, Content: content}
			}
		}
		item := doc.Paths[r.path]
		if item == nil {
			item = &huma.PathItem{}
			doc.Paths[r.path] = item
		}
		if r.method == http.MethodGet {
			item.Get = op
		} else {
			item.Post = op
		}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		panic(err) // of types of ours: a test makes it
	}
	return text
})

var inBraces = regexp.MustCompile(`\{(\w+)\}`)

func schemaOf(schemas huma.Registry, sample any) *huma.Schema {
	switch sample.(type) {
	case nil:
		return &huma.Schema{}
	case string:
		return &huma.Schema{Type: "string"}
	case []byte:
		return &huma.Schema{Type: "string", Format: "binary"}
	}
	s := schemas.Schema(reflect.TypeOf(sample), true, "")
	return s
}

func (g *Gateway) getOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", jsonType)
	_, _ = w.Write(OpenAPI()) // the client has gone
}
