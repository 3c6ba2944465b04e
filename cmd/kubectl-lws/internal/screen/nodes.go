// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxDashes bounds how many pods without a node are written as one dash each.
const maxDashes = 3

// Nodes returns the nodes of pods in short: "gpu-[01-03,07],rack9,-". Nodes that are named alike share their prefix.
// Each pod without a node is a dash.
func Nodes(nodes []string) string {
	unplaced := 0
	var placed []nodeName
	for _, node := range nodes {
		if node == "" {
			unplaced++
		} else {
			placed = append(placed, split(node))
		}
	}
	slices.SortFunc(placed, func(a, b nodeName) int {
		return cmp.Or(cmp.Compare(a.prefix, b.prefix), cmp.Compare(len(a.digits), len(b.digits)),
			cmp.Compare(a.digits, b.digits))
	})
	placed = slices.Compact(placed)
	var texts []string
	for len(placed) > 0 {
		same := 1
		for same < len(placed) && placed[same].prefix == placed[0].prefix && placed[0].digits != "" {
			same++
		}
		texts = append(texts, compress(placed[:same]))
		placed = placed[same:]
	}
	switch {
	case unplaced == len(nodes):
		return ""
	case unplaced > maxDashes:
		texts = append(texts, fmt.Sprintf("-×%d", unplaced))
	default:
		texts = append(texts, slices.Repeat([]string{"-"}, unplaced)...)
	}
	return strings.Join(texts, ",")
}

// nodeName is a name that ends in digits, as most names of nodes do.
type nodeName struct{ prefix, digits string }

func split(name string) nodeName {
	prefix := strings.TrimRight(name, "0123456789")
	return nodeName{prefix: prefix, digits: name[len(prefix):]}
}

// compress returns the names of nodes with one prefix: "gpu-[01-03,07]".
func compress(nodes []nodeName) string {
	if len(nodes) == 1 {
		return nodes[0].prefix + nodes[0].digits
	}
	var ranges []string
	for first := 0; first < len(nodes); {
		last := first
		for last+1 < len(nodes) && follows(nodes[last].digits, nodes[last+1].digits) {
			last++
		}
		if first == last {
			ranges = append(ranges, nodes[first].digits)
		} else {
			ranges = append(ranges, nodes[first].digits+"-"+nodes[last].digits)
		}
		first = last + 1
	}
	return nodes[0].prefix + "[" + strings.Join(ranges, ",") + "]"
}

// follows reports whether b is the next number after a, written in as many digits unless a is all nines.
func follows(a, b string) bool {
	n, err := strconv.Atoi(a)
	m, errNext := strconv.Atoi(b)
	if err != nil || errNext != nil || m != n+1 {
		return false
	}
	return len(a) == len(b) || (len(b) == len(a)+1 && strings.Trim(a, "9") == "" && b[0] != '0')
}
