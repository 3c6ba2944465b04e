# Copyright The LeaderWorkerSet Operator Authors
# SPDX-License-Identifier: Apache-2.0

# The version of the next release: everything that carries a version takes it from here.
VERSION ?= 0.1.0

# The image that docker-build makes and deploy runs.
IMAGE_REPOSITORY ?= ghcr.io/leaderworkerset/lws-operator
IMG ?= $(IMAGE_REPOSITORY):v$(VERSION)

# The command that builds images: docker, podman, …
CONTAINER_TOOL ?= docker

# Stops integration and end-to-end tests that hang.
INTEGRATION_TIMEOUT ?= 20m
E2E_TIMEOUT ?= 45m
NODES_TIMEOUT ?= 30m

SHELL := /usr/bin/env bash -o pipefail
.SHELLFLAGS := -ec
.DELETE_ON_ERROR:

# Everything is pure Go. One setting for all commands, so that they share Go's build cache.
export CGO_ENABLED := 0

# Each module is on its own, whatever workspace a developer has.
export GOWORK := off

BIN := $(CURDIR)/bin
CONTROLLER_GEN := $(BIN)/controller-gen
CRDFIT := $(BIN)/crdfit
KUSTOMIZE := $(BIN)/kustomize
GOLANGCI_LINT := $(BIN)/golangci-lint
OPERATOR_SDK := $(BIN)/operator-sdk
OPM := $(BIN)/opm

# kubectl from the PATH, or else the one that comes with the test cluster.
KUBECTL ?= $(or $(shell command -v kubectl),$(BIN)/cluster/kubectl)

# Modules with code of ours; the others only name the versions of tools and programs.
CODE_MODULES := . tools/generate test/cluster/components test/nodes test/nodes/programs/olm

.DEFAULT_GOAL := help

##@ General

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN { FS = ":.*## "; printf "Usage: make <target>\n" } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: clean
clean: ## Remove everything that make built.
	rm -rf $(BIN)

##@ Development

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Generate the DeepCopy methods of the API types.
	$(CONTROLLER_GEN) object:headerFile=tools/generate/boilerplate.go.txt paths=./api/...

# Descriptions below these properties of the CRD come from Kubernetes, and make it too large for kubectl apply.
CRD_TRIM_BELOW := leaderTemplate,workerTemplate,volumeClaimTemplates

.PHONY: manifests
manifests: $(CONTROLLER_GEN) $(CRDFIT) $(KUSTOMIZE) ## Generate the CRD, the RBAC role, the webhook configurations and the released image's name.
	$(CONTROLLER_GEN) crd:generateEmbeddedObjectMeta=true paths=./api/... output:crd:artifacts:config=config/crd/bases
	$(CRDFIT) -below $(CRD_TRIM_BELOW) config/crd/bases/*.yaml
	$(CONTROLLER_GEN) rbac:roleName=manager-role webhook paths=./internal/... output:rbac:artifacts:config=config/rbac output:webhook:artifacts:config=config/webhook
	cd config/manager && $(KUSTOMIZE) edit set image controller=$(IMAGE_REPOSITORY):v$(VERSION)

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the code.
	$(GOLANGCI_LINT) fmt

.PHONY: vet
vet: ## Run go vet.
	@$(call in-each,$(CODE_MODULES),go vet ./...)

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run the linters.
	@$(call in-each,$(CODE_MODULES),$(GOLANGCI_LINT) run --config $(CURDIR)/.golangci.yml)

.PHONY: tidy
tidy: ## Tidy go.mod and go.sum of all modules.
	@$(call in-each,$(ALL_MODULES),go mod tidy)

.PHONY: verify
verify: verify-format verify-generated verify-tidy vet lint ## Check format, generated files, go.mod files, go vet and linters.

.PHONY: verify-format
verify-format: $(GOLANGCI_LINT)
	@$(GOLANGCI_LINT) fmt --diff || { echo "The code isn't formatted: run 'make fmt'." >&2; exit 1; }

.PHONY: verify-generated
verify-generated: $(CONTROLLER_GEN) $(CRDFIT) $(KUSTOMIZE)
	@tools/generate/verify.sh || { echo "Generated files aren't up to date: run 'make generate manifests'." >&2; exit 1; }

.PHONY: verify-tidy
verify-tidy:
	@($(call in-each,$(ALL_MODULES),go mod tidy -diff)) || { echo "go.mod or go.sum isn't tidy: run 'make tidy'." >&2; exit 1; }

##@ Build

.PHONY: build
build: ## Build the operator: bin/manager.
	go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BIN)/manager .

.PHONY: docker-build
docker-build: ## Build the operator's image, IMG.
	$(CONTAINER_TOOL) build --build-arg VERSION=$(VERSION) -t $(IMG) .

##@ Test

.PHONY: test
test: test-unit test-integration test-e2e ## Run all tests.

# Packages whose tests start a cluster.
CLUSTER_TESTS := /test/(cluster|integration|e2e)(/|$$)

.PHONY: test-unit
test-unit: ## Run the tests that need nothing but Go.
	packages=$$(go list ./... | grep -Ev '$(CLUSTER_TESTS)'); go test $$packages
	cd tools/generate && go test ./...
	cd test/nodes && packages=$$(go list ./... | grep -v '/e2e$$') && go test $$packages

.PHONY: test-integration
test-integration: cluster ## Run the tests against a real API server, and those of the test cluster.
	KUBEBUILDER_ASSETS=$(BIN)/cluster go test -count=1 -timeout $(INTEGRATION_TIMEOUT) ./test/integration/... ./test/cluster/...

.PHONY: test-e2e
test-e2e: cluster build ## Run the end-to-end tests: the operator in a real control plane with simulated nodes.
	go test -count=1 -timeout $(E2E_TIMEOUT) ./test/e2e/...

.PHONY: cluster
cluster: ## Build the test cluster: bin/cluster. The first time takes some minutes.
	go run ./test/cluster/cmd/cluster build

$(BIN)/cluster/kubectl:
	go run ./test/cluster/cmd/cluster build

##@ Real nodes: Linux and root

NODES := $(BIN)/nodes/nodes

.PHONY: nodes-deps
nodes-deps: ## Install the Debian packages that nodes need.
	apt-get update
	apt-get install --yes --no-install-recommends $$(cd test/nodes && go run ./cmd/nodes packages)

.PHONY: nodes
nodes: ## Build kubelet, containerd and the rest of a real node: bin/nodes. The first time takes some minutes.
	cd test/nodes && go run ./cmd/nodes build

.PHONY: nodes-up
nodes-up: nodes ## Start a cluster with real nodes.
	$(NODES) up

.PHONY: nodes-down
nodes-down: ## Stop what nodes-up started.
	$(NODES) down

.PHONY: nodes-olm
nodes-olm: $(OPM) ## Install the Operator Lifecycle Manager in that cluster. The first time it takes some minutes to build.
	$(NODES) olm

# The cluster goes, whatever comes of the tests.
.PHONY: test-e2e-nodes
test-e2e-nodes: nodes ## Run the tests that need real nodes, in a cluster of their own.
	access=$$($(NODES) up); eval "$$access"; trap '$(NODES) down' EXIT; \
		cd test/nodes && go test -count=1 -timeout $(NODES_TIMEOUT) ./e2e -power "$(NODES) node"

##@ Demo

.PHONY: demo
demo: ## Start a local cluster with the operator in it.
	go run ./test/demo up

.PHONY: demo-down
demo-down: ## Stop what demo started.
	go run ./test/demo down

##@ Deployment

# A kubectl that make can build, if it is that one.
KUBECTL_TARGET := $(filter $(BIN)/%,$(KUBECTL))

.PHONY: install
install: $(KUBECTL_TARGET) ## Install the CRD in the cluster that kubectl is set to.
	$(KUBECTL) apply -f config/crd/bases

.PHONY: uninstall
uninstall: $(KUBECTL_TARGET) ## Remove the CRD, and with it every LeaderWorkerSet.
	$(KUBECTL) delete --ignore-not-found -f config/crd/bases

# Sets IMG in an overlay, so that deploying changes no file of the repository.
define DEPLOY_OVERLAY
resources:
- ../../config/default
patches:
- target: {kind: Deployment}
  patch: |-
    - op: replace
      path: /spec/template/spec/containers/0/image
      value: $(IMG)
endef
export DEPLOY_OVERLAY

.PHONY: deploy
deploy: $(KUSTOMIZE) $(KUBECTL_TARGET) ## Deploy the operator with image IMG. Needs cert-manager in the cluster.
	mkdir -p $(BIN)/deploy
	echo "$$DEPLOY_OVERLAY" > $(BIN)/deploy/kustomization.yaml
	$(KUSTOMIZE) build $(BIN)/deploy | $(KUBECTL) apply -f -

.PHONY: undeploy
undeploy: $(KUSTOMIZE) $(KUBECTL_TARGET) ## Remove the operator, its CRD, and with it every LeaderWorkerSet.
	$(KUSTOMIZE) build config/default | $(KUBECTL) delete --ignore-not-found -f -

##@ Tools

# Each group of tools is a Go module, which names their versions: a change of one builds its tools again.
.PHONY: controller-gen kustomize golangci-lint operator-sdk opm
controller-gen: $(CONTROLLER_GEN) ## Build bin/controller-gen.
kustomize: $(KUSTOMIZE) ## Build bin/kustomize.
golangci-lint: $(GOLANGCI_LINT) ## Build bin/golangci-lint.
operator-sdk: $(OPERATOR_SDK) ## Build bin/operator-sdk.
opm: $(OPM) ## Build bin/opm.

GENERATE_MODULE := tools/generate/go.mod tools/generate/go.sum
LINT_MODULE := tools/lint/go.mod tools/lint/go.sum
OLM_MODULE := tools/olm/go.mod tools/olm/go.sum

$(CONTROLLER_GEN): $(GENERATE_MODULE)
	$(call go-tool,tools/generate,sigs.k8s.io/controller-tools/cmd/controller-gen,\
		-X sigs.k8s.io/controller-tools/pkg/version.version=$(call version-of,tools/generate,sigs.k8s.io/controller-tools))

$(KUSTOMIZE): $(GENERATE_MODULE)
	$(call go-tool,tools/generate,sigs.k8s.io/kustomize/kustomize/v5)

$(CRDFIT): $(GENERATE_MODULE) $(wildcard tools/generate/crdfit/*.go)
	$(call go-tool,tools/generate,./crdfit)

$(GOLANGCI_LINT): $(LINT_MODULE)
	$(call go-tool,tools/lint,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)

# Without btrfs and GPG, which need C libraries.
SDK_TAGS := containers_image_openpgp,exclude_graphdriver_btrfs
OPM_TAGS := json1,$(SDK_TAGS)
SDK_VERSION_PACKAGE := github.com/operator-framework/operator-sdk/internal/version
OPM_VERSION_PACKAGE := github.com/operator-framework/operator-registry/cmd/opm/version

# The SDK writes its own version into what it generates.
$(OPERATOR_SDK): SDK_VERSION = $(call version-of,tools/olm,github.com/operator-framework/operator-sdk)
$(OPERATOR_SDK): $(OLM_MODULE)
	$(call go-tool,tools/olm,github.com/operator-framework/operator-sdk/cmd/operator-sdk,\
		-X $(SDK_VERSION_PACKAGE).Version=$(SDK_VERSION) \
		-X $(SDK_VERSION_PACKAGE).GitVersion=$(SDK_VERSION) \
		-X $(SDK_VERSION_PACKAGE).ImageVersion=$(SDK_VERSION) \
		-X $(SDK_VERSION_PACKAGE).KubernetesVersion=$(patsubst v0.%,v1.%,$(call version-of,tools/olm,k8s.io/api)),\
		$(SDK_TAGS))

$(OPM): $(OLM_MODULE)
	$(call go-tool,tools/olm,github.com/operator-framework/operator-registry/cmd/opm,\
		-X $(OPM_VERSION_PACKAGE).opmVersion=$(call version-of,tools/olm,github.com/operator-framework/operator-registry),\
		$(OPM_TAGS))

# Functions for the recipes above.

# Every module of the repository.
ALL_MODULES = $(patsubst %/,%,$(dir $(shell git ls-files --cached --others --exclude-standard go.mod '*/go.mod')))

# $(call in-each,modules,command) runs the command in each module, and says which.
in-each = for module in $(1); do echo "--- module $$module"; (cd $$module && $(2)) || exit 1; done

# $(call go-tool,module,package,ldflags,tags) builds a target from a package of a module.
go-tool = cd $(1) && go build -mod=readonly -trimpath -buildvcs=false -tags '$(strip $(4))' -ldflags '-s -w $(strip $(3))' -o $@ $(2)

# $(call version-of,module,dependency) is the version that a module requires of a dependency.
version-of = $(shell cd $(1) && go list -mod=readonly -m -f '{{.Version}}' $(2))
