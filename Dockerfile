# The operator: one static binary with the subcommands controller, apiserver, apikey and check. GO_IMAGE's Go is the one that
# releases are built by; both arguments take an image by digest too (golang@sha256:…).
ARG GO_IMAGE=golang:1.26.8-bookworm
ARG BASE_IMAGE=scratch

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api api
COPY apiserver apiserver
COPY client client
COPY cmd cmd
COPY controllers controllers
COPY internal internal
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.version=${VERSION}" -o /spider-operator ./cmd/spider-operator

FROM ${BASE_IMAGE}
COPY --from=build /spider-operator /spider-operator
USER 65532:65532
ENTRYPOINT ["/spider-operator"]
