// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package metrics decides who may read the operator's metrics.
package metrics

import (
	"net/http"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// reviewsPerSecond and reviewBurst bound the reviews that readers of the metrics cause at the API server, strangers
// included. One reader takes two reviews at most. The operator's own limits are far higher, and each client has a limit
// of its own.
const reviewsPerSecond, reviewBurst = 10, 20

// OnlyForAllowed returns controller-runtime's filter, which asks the API server who a reader is and whether the reader
// may get the path. A ClusterRole allows that in its nonResourceURLs. The operator creates TokenReviews and
// SubjectAccessReviews for it.
func OnlyForAllowed(config *rest.Config, client *http.Client) (metricsserver.Filter, error) {
	limited := rest.CopyConfig(config)
	limited.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(reviewsPerSecond, reviewBurst)
	return filters.WithAuthenticationAndAuthorization(limited, client)
}
