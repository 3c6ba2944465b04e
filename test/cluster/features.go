// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"fmt"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// FeatureEnabled reports whether a feature gate of an API server is on. A gate that the API server doesn't know is off.
func FeatureEnabled(ctx context.Context, config *rest.Config, gate string) (bool, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return false, err
	}
	metrics, err := client.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return false, fmt.Errorf("read the metrics of the API server: %w", err)
	}
	prefix := []byte(`kubernetes_feature_enabled{name="` + gate + `",`)
	for line := range bytes.Lines(metrics) {
		if bytes.HasPrefix(line, prefix) {
			return bytes.HasSuffix(line, []byte("} 1\n")), nil
		}
	}
	return false, nil
}
