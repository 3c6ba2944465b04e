// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package namespace finds the namespace that the operator runs in.
package namespace

import (
	"fmt"
	"os"
	"strings"
)

// file has the namespace of the pod that reads it.
const file = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// Operator returns the operator's namespace: the configured one, or that of the pod if none is configured.
func Operator(configured string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("find the operator's namespace: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}
