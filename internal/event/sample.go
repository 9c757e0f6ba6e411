package event

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/gateway"
	"github.com/weirstream/weir/internal/sample"
	"github.com/weirstream/weir/internal/schema/values"
)

// sample makes up an event that gateways take, which is tried by their own checks: by the schemas of values and keys, and with key and id where they
// are declared. keys is nil where keys are text.
func (e *File) sample(of, keys *values.Schema, compacted bool, r *Result) {
	trial := gateway.Trial{Declared: e.declaration(), Values: of, Keys: keys, Compacted: compacted}
	var fields []sample.Field
	if e.Key != "" {
		f := sample.Field{Path: e.Key}
		if keys != nil {
			f.Texts = keyTexts(keys, []sample.Field{{}})
		}
		fields = append(fields, f)
	} else if keys != nil {
		if texts := keyTexts(keys, nil); len(texts) > 0 {
			trial.Key = texts[0]
		}
	} else if compacted {
		trial.Key = "a"
	}
	if e.ID != "" {
		fields = append(fields, sample.Field{Path: e.ID})
	} else if e.Idempotency == declared.Once {
		trial.ID = "1"
	}
	document, err := sample.Of(of, fields, func(document []byte) error {
		trial.Document = document
		return trial.Try()
	})
	if err != nil {
		r.Unsampled = err.Error()
		return
	}
	r.Sample, r.SampleKey, r.SampleID = document, trial.Key, trial.ID
}

// keyTexts are some keys that the schema of keys takes, as they stand beside an event or in a field of it.
func keyTexts(keys *values.Schema, fields []sample.Field) (texts []string) {
	message, err := keys.Message("")
	if err != nil {
		return nil
	}
	const enough = 6
	_, _ = sample.Of(keys, fields, func(document []byte) error {
		if _, err := keys.AppendBare(nil, message, document); err != nil {
			return err
		}
		text := ""
		if json.Unmarshal(document, &text) != nil || text == "" {
			text = string(document)
		}
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
		if len(texts) < enough {
			return errMore
		}
		return nil
	})
	return texts
}

var errMore = errors.New("another one")
