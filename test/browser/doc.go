// Package browser tests the documentation page as its readers use it: in a headless Chromium, on a REST API that writes to a
// real kube-apiserver. It is a module of its own so that the product does not depend on a browser protocol.
package browser
