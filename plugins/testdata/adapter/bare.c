// echo.c without the import that gives more fuel.
#define BARE
#include "echo.c"
