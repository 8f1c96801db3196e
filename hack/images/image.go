package main

import (
	"github.com/scrapethis/spider-operator/hack/internal/image"
)

// projectImage is one of the project's images.
type projectImage struct {
	Name       string
	Context    string // folder of the build context, and of its .dockerignore
	Dockerfile string
	Static     *static // how it is made without its Dockerfile, if that can be
	Tests      bool    // only tests need it: it is built when it is named
}

// static describes an image that holds a Go program and what that program generates, and no operating system. Such an image is
// made with the machine's own Go and its caches. Its Dockerfile says the same: a test compares them.
type static struct {
	Module  string // folder of the program's module
	Package string // relative to it, with ./
	LDFlags string // besides -s -w
	Path    string // of the program in the image
	// Generate is a folder of the image that `PROGRAM generate FOLDER` fills, if any.
	Generate string
	Config   image.Image // without its files
}

// nonRoot is the user and group of the images that hold no operating system.
const nonRoot = "65532:65532"

// images are all that `make demo` needs, and those of the end-to-end tests. Paths are relative to the repository.
var images = []projectImage{
	{
		Name: "spider-operator", Context: ".", Dockerfile: "Dockerfile",
		Static: &static{
			Module: ".", Package: "./cmd/spider-operator", LDFlags: "-X main.version=dev", Path: "/spider-operator",
			Config: image.Image{User: nonRoot, Entrypoint: []string{"/spider-operator"}},
		},
	},
	{
		Name: "spider-demo-site", Context: "test/spiders", Dockerfile: "test/spiders/site/Dockerfile",
		Static: &static{
			Module: "test", Package: "./spiders/site", Path: "/site", Generate: "/pages",
			Config: image.Image{
				User: nonRoot, Entrypoint: []string{"/site"}, Cmd: []string{"serve", "/pages"}, Ports: []string{"8080/tcp"},
			},
		},
	},
	{
		Name: "spider-demo-counter", Context: "test/spiders", Dockerfile: "test/spiders/counter/Dockerfile",
		Static: &static{
			Module: "test", Package: "./spiders/counter", Path: "/counter",
			Config: image.Image{User: nonRoot, Entrypoint: []string{"/counter"}},
		},
	},
	{Name: "spider-demo-scrapy", Context: "test/spiders/scrapy", Dockerfile: "test/spiders/scrapy/Dockerfile"},

	{Name: "spider-test-root", Context: "test/spiders", Dockerfile: "test/spiders/root/Dockerfile", Tests: true},
	{Name: "spider-test-starts", Context: "test/spiders", Dockerfile: "test/spiders/starts/Dockerfile", Tests: true},
	{Name: "spider-test-browser", Context: "test/spiders", Dockerfile: "test/spiders/browser/Dockerfile", Tests: true},
}

func names() []string {
	all := make([]string, len(images))
	for i, img := range images {
		all[i] = img.Name
	}
	return all
}
