# Says of pairs of a schema and a document, one a line, whether the document is valid: true, false, or null for a schema that is none.
import json
import sys

from jsonschema import Draft7Validator, SchemaError

for line in sys.stdin:
    schema, document = json.loads(line)
    try:
        Draft7Validator.check_schema(schema)
        print(json.dumps(Draft7Validator(schema).is_valid(document)))
    except SchemaError:
        print("null")
