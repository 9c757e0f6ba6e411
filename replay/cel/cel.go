// Package cel teaches a program the expressions of replays (where.expression, docs/replay.md), in the Common Expression Language
// (https://cel.dev). It is a package of its own because it adds several megabytes to a program:
//
//	import _ "github.com/weirstream/weir/replay/cel"
package cel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"cel.dev/cel-go/cel"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/replay"
)

func init() { replay.Compile = compile }

// maxCost bounds the evaluation for one record.
const maxCost = 1_000_000

// compile makes a predicate of an expression. Where it cannot be evaluated for a record, the record is not chosen.
func compile(expression string) (replay.Predicate, error) {
	env, err := cel.NewEnv(
		cel.Variable("value", cel.DynType), cel.Variable("key", cel.StringType), cel.Variable("headers", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("time", cel.TimestampType), cel.Variable("partition", cel.IntType), cel.Variable("offset", cel.IntType),
	)
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		return nil, err
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("it is a %s, and must say true or false", t)
	}
	program, err := env.Program(ast, cel.CostLimit(maxCost))
	if err != nil {
		return nil, err
	}
	return func(tp kafka.TopicPartition, r *kafka.Record) bool {
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		out, _, err := program.Eval(map[string]any{
			"value": decoded(r.Value), "key": string(r.Key), "headers": headers, "time": r.Time(), "partition": int64(tp.Partition), "offset": r.Offset,
		})
		chosen, ok := false, false
		if err == nil {
			chosen, ok = out.Value().(bool)
		}
		return ok && chosen
	}, nil
}

// decoded is what the JSON of a value says; its text, or its bytes, where it is none.
func decoded(value []byte) any {
	if value == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var v any
	if d.Decode(&v) == nil {
		if _, err := d.Token(); err == io.EOF {
			return v
		}
	}
	if utf8.Valid(value) {
		return string(value)
	}
	return value
}
