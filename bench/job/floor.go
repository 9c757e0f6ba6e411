package job

// FloorValue is what a loop without a framework writes for a record: as many bytes as the job writes.
func FloorValue(kind string, value []byte) []byte {
	if kind == Totals {
		return value[:min(48, len(value))]
	}
	return value
}

// FloorCheck compares what such a loop wrote with the input.
func FloorCheck(j Job, d Data) Check {
	return &unordered{want: func() (s sum) {
		for i := range j.Records {
			key, value := d.Record(i)
			s.add(key, FloorValue(j.Kind, value))
		}
		return s
	}}
}
