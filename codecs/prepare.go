package codecs

import "context"

// Preparation is what a [Prepared] codec is asked to do at a start.
type Preparation struct {
	Context  context.Context
	Record   Record // Topic, Subject and Key are set
	Register bool   // else the schema is only checked
}
