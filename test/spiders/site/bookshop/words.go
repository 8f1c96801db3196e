package bookshop

var categoryNames = []string{
	"Fiction", "Mystery", "History", "Science", "Poetry", "Travel", "Romance", "Fantasy", "Biography", "Philosophy",
	"Cooking", "Art", "Music", "Gardening", "Horror", "Thriller", "Crime", "Adventure", "Humour", "Classics",
	"Drama", "Business", "Economics", "Politics", "Psychology", "Religion", "Health", "Sport", "Nature", "Animals",
	"Astronomy", "Physics", "Chemistry", "Mathematics", "Computing", "Engineering", "Architecture", "Photography",
	"Fashion", "Crafts", "Languages", "Education", "Parenting", "Law", "Medicine", "Mythology", "Westerns",
	"Short Stories", "Graphic Novels", "Picture Books",
}

var adjectives = []string{
	"Quiet", "Crimson", "Forgotten", "Wandering", "Hollow", "Patient", "Northern", "Paper", "Silver", "Borrowed",
	"Unlikely", "Second", "Burning", "Gentle", "Last", "Tangled",
}

var nouns = []string{
	"Lighthouse", "Cartographer", "Orchard", "Winter", "Archive", "Spider", "Clockmaker", "Harbour", "Letter",
	"Garden", "Compass", "Locksmith", "Tide", "Apprentice", "Violin", "Librarian",
}

var places = []string{
	"of Ashby", "at the Crossroads", "under Glass", "in Late Summer", "Without a Name", "beyond the Weir",
	"of the Old Quarter", "on Mill Street", "at Low Water", "by Candlelight", "from Elsewhere", "& Other Weather",
	"in Nine Parts", "of Small Hours", "Remembered", "That Wasn't There",
}

var descriptions = []string{
	"“%s” begins on a morning when nobody is watching, and does not let go until the last page.",
	"Long out of print, “%s” returns with a new foreword and the author's own corrections.",
	"A reader's favourite: “%s” asks what we owe to the places that made us.",
	"Wry, exact and full of weather, “%s” is best read in one sitting.",
	"They said “%s” could not be written. It could; it took eleven years.",
}
