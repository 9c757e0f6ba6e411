package jsonvalue

// Part is what the members of an object are, or the elements of an array, somewhere within a JSON schema. A name alone does not say it: a
// property may be called enum, and a default may have a member of that name.
type Part int

// The parts of a schema.
const (
	InSchema Part = iota // keywords, or schemas in a list
	InNames              // schemas by names that are the author's, such as those of properties
	InValue              // parts of values that documents have, which no keyword is among
)

// Below is the part that stands under a name. What a keyword holds that is not known may be a schema, since a $ref may lead there.
func (p Part) Below(name string) Part {
	switch p {
	case InNames:
		return InSchema
	case InValue:
		return InValue
	}
	switch name {
	case "properties", "patternProperties", "definitions", "$defs", "dependencies", "dependentSchemas":
		return InNames
	case "enum", "const", "default", "examples":
		return InValue
	}
	return InSchema
}
