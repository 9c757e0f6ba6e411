package schema

import (
	"fmt"
	"strings"
)

// Explain says in a sentence what is incompatible, where, and what would be allowed. Whoever stops a schema says it so: the check of files,
// the registry, the gateway and the start of a topology. next and old are what the schemas are called.
func (i Incompatibility) Explain(next, old string) string {
	reader, writer := next, old
	if i.Reader == "old" {
		reader, writer = old, next
	}
	return fmt.Sprintf("%s at path '%s': %s cannot read what is written with %s; allowed is: %s", i.Detail, i.Path, reader, writer, i.Allowed())
}

// Allowed says what may be done in place of the change.
func (i Incompatibility) Allowed() string {
	if i.Reader == "old" { // which is in use, and cannot be changed any more
		return "leave what is at this path as it was, or have the readers take the new schema first, at a level that asks for no more than BACKWARD"
	}
	if text, ok := allowed[i.Rule]; ok {
		return text
	}
	for _, end := range allowedEnds {
		if strings.HasSuffix(i.Rule, end.rule) {
			return end.text
		}
	}
	return asItWas
}

const asItWas = "leave what is at this path as it was"

// allowed is by rule.
var allowed = map[string]string{
	// Avro
	"TYPE_MISMATCH":                      "the type as it was, a union that has it as well, or a wider number",
	"MISSING_UNION_BRANCH":               "the union with a branch for everything that was written; further ones may be added",
	"NAME_MISMATCH":                      "the name as it was, or the old one as an alias",
	"MISSING_ENUM_SYMBOLS":               "keep the symbols, or give the enum a default",
	"FIXED_SIZE_MISMATCH":                "the size as it was; another size is another type, in a field of its own with a default",
	"READER_FIELD_MISSING_DEFAULT_VALUE": "give the field a default",
	"READER_FIELD_AMBIGUOUS":             "a name that was not written before, or no alias that was written beside it",
	"LOGICAL_TYPE_MISMATCH":              "the logical type as it was, a decimal with its precision and scale; another one in a field of its own with a default",
	// Protobuf
	"PACKAGE_CHANGED":                "the package as it was; a new one is for a new subject",
	"MESSAGE_REMOVED":                "keep the message; it may be marked as deprecated",
	"REQUIRED_FIELD_ADDED":           "make the field optional",
	"REQUIRED_FIELD_REMOVED":         "keep the field; it may become optional",
	"ONEOF_FIELD_REMOVED":            "keep the field, or remove the whole oneof",
	"FIELD_MOVED_TO_EXISTING_ONEOF":  "leave the fields where they are; one alone may move into a oneof of new fields",
	"MULTIPLE_FIELDS_MOVED_TO_ONEOF": "leave the fields where they are; one alone may move into a oneof of new fields",
	"FIELD_KIND_CHANGED":             "the field as it was, and a new one under another number",
	"FIELD_SCALAR_KIND_CHANGED":      "the field as it was or with a type of the same encoding, and a new one under another number",
	"FIELD_NAMED_TYPE_CHANGED":       "the field as it was, and a new one under another number",
	"FIELD_NUMERIC_LABEL_CHANGED":    "the field as it was, and a new one under another number",
	// JSON Schema
	"TYPE_CHANGED":                                    "the type as it was; further types may be added",
	"TYPE_NARROWED":                                   "the type as it was; further types may be added",
	"SUM_TYPE_NARROWED":                               "keep the alternatives; further ones may be added",
	"COMBINED_TYPE_SUBSCHEMAS_CHANGED":                "keep the schemas as they were, or make them wider",
	"COMBINED_TYPE_CHANGED":                           "the combination as it was, or anyOf",
	"ENUM_ARRAY_NARROWED":                             "keep the values; further ones may be added",
	"PATTERN_CHANGED":                                 "the pattern as it was, or none",
	"MULTIPLE_OF_CHANGED":                             "the number as it was, a divisor of it, or none",
	"MULTIPLE_OF_EXPANDED":                            "the number as it was, a divisor of it, or none",
	"NOT_TYPE_EXTENDED":                               "exclude what was excluded, or less",
	"REQUIRED_ATTRIBUTE_ADDED":                        "give the property a default, or do not require it",
	"REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL": "give the property a default, or do not require it",
	"PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL":            "a property that takes any value, or objects that are closed (additionalProperties false) in a version before",
	"PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL":   "a property that takes all that further properties could be",
	"PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL":                   "keep the property; it need not be required",
	"PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": "keep the property; it need not be required",
	"ITEM_ADDED_TO_OPEN_CONTENT_MODEL":                             "an item that takes any value",
	"ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL":       "an item that takes all that further items could be",
	"ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL":                       "keep the item",
	"ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL":     "keep the item",
	"DEPENDENCY_ARRAY_EXTENDED":                                    "ask for what was asked for, or less",
	"PRODUCT_TYPE_EXTENDED":                                        "ask for what was asked for, or less",
	"SCHEMA_ADDED":                                                 "leave it out: any value was allowed",
	"TOO_COMPLEX":                                                  "fewer unions within unions, or alternatives within alternatives",
}

// allowedEnds are by the end of a rule's name, for those of JSON Schema that are the same for each limit.
var allowedEnds = []struct{ rule, text string }{
	{"_ADDED", "leave it out: there was none"},
	{"_INCREASED", "the number as it was, or a smaller one"},
	{"_DECREASED", "the number as it was, or a larger one"},
	{"_REMOVED", "allow what was allowed"},
	{"_NARROWED", "allow what was allowed"},
}
