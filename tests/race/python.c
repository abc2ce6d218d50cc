/* Python with ThreadSanitizer's runtime, which can't be loaded behind a program's start. */
#include <Python.h>

int main(int argc, char **argv)
{
	return Py_BytesMain(argc, argv);
}
