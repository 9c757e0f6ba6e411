//go:build unix

package secretfile

// permissions says whether a file's mode tells who may do what with it.
const permissions = true
