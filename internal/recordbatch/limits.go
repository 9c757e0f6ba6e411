package recordbatch

// Limits bound what is taken out of a batch. Each is named after its setting.
type Limits struct {
	Batch       int64 // bytes of a batch after decompression: max.batch.bytes
	Records     int   // records of a batch: max.batch.records
	Block       int64 // bytes that a codec must keep at once, a block of snappy or a window of zstd: max.compression.block.bytes
	Record      int64 // bytes of a record: max.record.bytes
	Key         int64 // bytes of a key: max.key.bytes
	Value       int64 // bytes of a value: max.value.bytes
	Headers     int   // headers of a record: max.headers
	HeaderBytes int64 // bytes of a record's headers, keys and values: max.headers.bytes
}

// The limits' names, as an Excess gives them.
const (
	LimitBatch       = "max.batch.bytes"
	LimitRecords     = "max.batch.records"
	LimitBlock       = "max.compression.block.bytes"
	LimitRecord      = "max.record.bytes"
	LimitKey         = "max.key.bytes"
	LimitValue       = "max.value.bytes"
	LimitHeaders     = "max.headers"
	LimitHeaderBytes = "max.headers.bytes"
)

// Names are the limits in the order of the table.
var Names = []string{LimitBatch, LimitRecords, LimitBlock, LimitRecord, LimitKey, LimitValue, LimitHeaders, LimitHeaderBytes}

// DefaultLimits are far beyond what is usual: they are there against what is hostile or gone wrong.
func DefaultLimits() Limits {
	return Limits{
		Batch: 2 << 30, Records: 10_000_000, Block: 128 << 20,
		Record: 32 << 20, Key: 32 << 20, Value: 32 << 20, Headers: 10_000, HeaderBytes: 8 << 20,
	}
}
