// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package metrics has the API server decide who may read the operator's metrics.
package metrics

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authenticationapi "k8s.io/api/authentication/v1"
	authorizationapi "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	authenticationv1 "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// reviewTimeout bounds how long a reader waits for the API server's decision.
	reviewTimeout = 10 * time.Second

	// reviewsPerSecond and reviewBurst bound what readers, allowed or not, can make the operator ask of the API server. A reader takes two
	// reviews at most: every second, five may come that aren't known.
	reviewsPerSecond, reviewBurst = 10, 20

	// knownReaders is how many readers are remembered that were allowed, so that strangers can't keep them waiting, and knownFor for how long:
	// a token that is taken back is good for that long at most.
	knownReaders, knownFor = 64, time.Minute
)

// access asks the API server who a reader is, and what the reader may do.
//
// controller-runtime has the same in its package filters, by the API server's own libraries: they are 20 MiB of the operator's program, and
// of its memory.
type access struct {
	tokens   authenticationv1.TokenReviewInterface
	subjects authorizationv1.SubjectAccessReviewInterface
	known    *cache.LRUExpireCache // by token and request, of those that were allowed
}

// OnlyForAllowed is a filter that lets readers pass who have a token of the cluster and may get the path, as in a ClusterRole's
// nonResourceURLs. The operator needs to be allowed to create TokenReviews and SubjectAccessReviews.
func OnlyForAllowed(config *rest.Config, client *http.Client) (metricsserver.Filter, error) {
	limited := rest.CopyConfig(config)
	limited.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(reviewsPerSecond, reviewBurst)
	authentication, err := authenticationv1.NewForConfigAndClient(limited, client)
	if err != nil {
		return nil, err
	}
	authorization, err := authorizationv1.NewForConfigAndClient(limited, client)
	if err != nil {
		return nil, err
	}
	return access{authentication.TokenReviews(), authorization.SubjectAccessReviews(), cache.NewLRUExpireCache(knownReaders)}.filter, nil
}

func (a access) filter(log logr.Logger, handler http.Handler) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		ctx, cancel := context.WithTimeout(request.Context(), reviewTimeout)
		defer cancel()
		status, err := a.decide(ctx, request)
		if err != nil {
			log.Error(err, "A reader of the metrics can't be checked")
		}
		if status != http.StatusOK {
			http.Error(w, http.StatusText(status), status)
			return
		}
		handler.ServeHTTP(w, request)
	}), nil
}

// decide is the status that a request is answered with, 200 if it may pass. An error is one of asking the API server.
func (a access) decide(ctx context.Context, request *http.Request) (status int, err error) {
	scheme, token, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return http.StatusUnauthorized, nil
	}
	reader := sha256.Sum256([]byte(token + " " + request.Method + " " + request.URL.Path))
	if _, ok := a.known.Get(reader); ok {
		return http.StatusOK, nil
	}
	if status, err := a.review(ctx, token, request); status != http.StatusOK {
		return status, err
	}
	a.known.Add(reader, nil, knownFor)
	return http.StatusOK, nil
}

// review asks the API server about a request.
func (a access) review(ctx context.Context, token string, request *http.Request) (status int, err error) {
	known, err := a.tokens.Create(ctx, &authenticationapi.TokenReview{Spec: authenticationapi.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return http.StatusInternalServerError, err
	}
	if !known.Status.Authenticated {
		return http.StatusUnauthorized, reviewError(known.Status.Error)
	}
	allowed, err := a.subjects.Create(ctx, mayRead(&known.Status.User, request), metav1.CreateOptions{})
	if err != nil {
		return http.StatusInternalServerError, err
	}
	if !allowed.Status.Allowed || allowed.Status.Denied {
		return http.StatusForbidden, reviewError(allowed.Status.EvaluationError)
	}
	return http.StatusOK, nil
}

// mayRead asks whether a user may make the request.
func mayRead(user *authenticationapi.UserInfo, request *http.Request) *authorizationapi.SubjectAccessReview {
	extra := make(map[string]authorizationapi.ExtraValue, len(user.Extra))
	for key, value := range user.Extra {
		extra[key] = authorizationapi.ExtraValue(value)
	}
	return &authorizationapi.SubjectAccessReview{Spec: authorizationapi.SubjectAccessReviewSpec{
		User:                  user.Username,
		UID:                   user.UID,
		Groups:                user.Groups,
		Extra:                 extra,
		NonResourceAttributes: &authorizationapi.NonResourceAttributes{Path: request.URL.Path, Verb: strings.ToLower(request.Method)},
	}}
}

// reviewError is what went wrong in a review, as the API server tells.
func reviewError(message string) error {
	if message == "" {
		return nil
	}
	return errors.New(message)
}
