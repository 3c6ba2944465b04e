// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 contains version v1alpha1 of the API group config.leaderworkerset.x-k8s.io. It has the type of the
// operator's configuration file. No API server serves the group.
//
// Each field that isn't a group of others has a comment that ends with its default. A test compares these defaults with
// those of the operator, and docs/operate/configuration.md with the comments.
package v1alpha1

import "k8s.io/apimachinery/pkg/runtime/schema"

// Kind is the kind of [OperatorConfiguration].
const Kind = "OperatorConfiguration"

// GroupVersion is the group and version of this package's types.
var GroupVersion = schema.GroupVersion{Group: "config.leaderworkerset.x-k8s.io", Version: "v1alpha1"}
