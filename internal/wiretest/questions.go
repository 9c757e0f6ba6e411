package wiretest

import "slices"

// questions are all there are. A new one needs the real cluster's answers: see Record.
var questions = slices.Concat(transactions, reading, administration, groups, losses())
