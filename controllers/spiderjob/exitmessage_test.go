package spiderjob

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestExitMessage(t *testing.T) {
	const traceback = "2026-11-26 20:00:00 [scrapy] INFO: x\nTraceback (most recent call last):\n" +
		"  File \"/usr/bin/scrapy\", line 33, in <module>\n    sys.exit(main())\n             ^^^^^^\n" +
		"  File \"/project/shop/spiders/books.py\", line 7, in __init__\n    self.x = y\n"
	runc := func(said string) string {
		return "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: " +
			"unable to start container process: " + said + ": unknown"
	}
	for _, c := range []struct{ name, message, want string }{
		{"nothing", "", ""},
		{"blanks", " \n\t\n", ""},
		{"one line", "quota exceeded\n", ": quota exceeded"},
		{"the last three lines", "a\nb\n\nc\nd\n", ": b | c | d"},
		{"JSON with an error", `{"error": "shop.py has no spider x"}`, ": shop.py has no spider x"},
		{"JSON without one", `{"items_scraped": 3}`, ""},
		{"an exception, with its place", traceback + "KeyError: 'shop'\n", ": KeyError: 'shop' (/project/shop/spiders/books.py, line 7)"},
		{"an exception without a message", traceback + "KeyboardInterrupt\n",
			": KeyboardInterrupt (/project/shop/spiders/books.py, line 7)"},
		{"an exception of several lines", traceback + "pydantic.ValidationError: 1 error\nprice\nfield required\n[more]\n",
			": pydantic.ValidationError: 1 error (/project/shop/spiders/books.py, line 7) | price | field required | [more]"},
		{"an exception, and a last line", traceback + "KeyError: 'shop'\nbye\na\nb\nshop is closed\n",
			": KeyError: 'shop' (/project/shop/spiders/books.py, line 7) | bye | a | shop is closed"},
		{"a traceback of which the beginning is cut off", "/project/a.py\", line 1\n    y\nNameError: name 'y' is not defined\n",
			": NameError: name 'y' is not defined"},
		{"a syntax error", "  File \"/project/a.py\", line 3\n    def\n       ^\nSyntaxError: invalid syntax\n",
			": SyntaxError: invalid syntax (/project/a.py, line 3)"},
		{"usage", "usage: scrapy crawl [options] <spider>\nscrapy crawl: error: Unable to load 'a'\n", ": scrapy crawl: error: Unable to load 'a'"},
		{"no such spider", traceback + "KeyError: 'Spider not found: books'\n",
			": the Scrapy project has no spider named books (KeyError: 'Spider not found: books')"},
		{"no project", "Scrapy 2.8.0 - no active project\n\nUnknown command: crawl\n\nUse \"scrapy\" to see available commands\n",
			": the working directory is in no Scrapy project; a Spider's pod.workingDir names the folder with its scrapy.cfg (Unknown command: crawl)"},
		{"no project, newer", "Scrapy 2.19.0 - no active project\n\nThe crawl command is not available from this location.\n" +
			"These commands are only available from within a project: check, crawl, edit, list, parse.\n\nUse \"scrapy\" to see available commands\n",
			": the working directory is in no Scrapy project; a Spider's pod.workingDir names the folder with its scrapy.cfg " +
				"(The crawl command is not available from this location.)"},
		{"an argument that Scrapy passes itself", traceback + "TypeError: Spider.from_crawler() got multiple values for argument 'cls'\n",
			": an argument cannot be named cls, since Scrapy itself passes one of that name " +
				"(TypeError: Spider.from_crawler() got multiple values for argument 'cls')"},
		{"an argument that the spider does not take", traceback + "TypeError: B.__init__() got an unexpected keyword argument 'nope'\n",
			": TypeError: B.__init__() got an unexpected keyword argument 'nope' (/project/shop/spiders/books.py, line 7)"},
		{"bash", "/start.sh: line 3: scrapy: command not found\n",
			": there is no program scrapy in the image's PATH (/start.sh: line 3: scrapy: command not found)"},
		{"dash", "/start.sh: 3: scrapy: not found\n",
			": there is no program scrapy in the image's PATH (/start.sh: 3: scrapy: not found)"},
		{"no python3", runc(`exec: "python3": executable file not found in $PATH`),
			`: the image has no python3 in its PATH, which a Spider with a repoPath needs ` +
				`(exec: "python3": executable file not found in $PATH: unknown)`},
		{"no scrapy", runc(`exec: "scrapy": executable file not found in $PATH`),
			`: the image has no scrapy (exec: "scrapy": executable file not found in $PATH: unknown)`},
		{"no such path", runc(`exec: "/crawl": stat /crawl: no such file or directory`),
			`: the image has no /crawl (exec: "/crawl": stat /crawl: no such file or directory: unknown)`},
		{"a program that is not the user's", runc(`exec: "/crawl": permission denied`),
			`: the container's user may not run /crawl (exec: "/crawl": permission denied: unknown)`},
		{"a working directory that is root's", runc(`chdir to cwd ("/root/app") set in config.json failed: permission denied`),
			`: the working directory /root/app cannot be entered: permission denied ` +
				`(chdir to cwd ("/root/app") set in config.json failed: permission denied: unknown)`},
		{"the last mistake counts", "KeyError: 'Spider not found: a'\nKeyError: 'Spider not found: b'\n",
			": the Scrapy project has no spider named b (KeyError: 'Spider not found: b')"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := exitMessage(c.message); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func FuzzExitMessage(f *testing.F) {
	f.Add("Traceback (most recent call last):\n  File \"a\", line 1\nE: x\n")
	f.Add("KeyError: 'Spider not found: \x1b[31m$1${2}\xff'\n")
	f.Add(`exec: "` + strings.Repeat("é", 3000) + `": no such file or directory`)
	f.Fuzz(func(t *testing.T, message string) {
		got := exitMessage(message)
		if len(got) > 3*maxLastLines || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\x1b") {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	})
}
