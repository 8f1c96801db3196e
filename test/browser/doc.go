// Package browser tests the documentation's page as a reader uses it: in a headless Chromium, on a facade that writes to a real
// kube-apiserver. It is a module of its own so that the product does not depend on a browser's protocol.
package browser
