// What OHIF wants to know before it starts: where its files and our studies are, and how it looks here.
(() => {
  const { base, logo } = document.currentScript.dataset;
  const UID = /^\d[\d.]{0,63}$/;
  const asked = new URLSearchParams(location.search).getAll("StudyInstanceUIDs").join().split(",")[0];
  const study = UID.test(asked) ? `/studies/${asked}` : "/studies";

  // OHIF's own pages of this kind lead nowhere from here; ours say what is the matter.
  const leadTo = (address) => () => {
    location.replace(address);
    return null;
  };

  // A study that is deleted while somebody looks at it leaves its viewports black: our page says what has happened.
  let isLooking = false;
  const leaveIfGone = async () => {
    if (isLooking || study === "/studies") return;
    isLooking = true;
    const answer = await fetch(`/dicom-web/studies?StudyInstanceUID=${asked}&limit=1`);
    if (answer.ok && (await answer.json()).length === 0) location.assign(study);
    isLooking = false;
  };
  new PerformanceObserver((list) => {
    const isMissing = ({ name, responseStatus }) => responseStatus === 404 && name.includes("/dicom-web/studies/");
    if (list.getEntries().some(isMissing)) leaveIfGone();
  }).observe({ type: "resource" });

  window.PUBLIC_URL = base;
  window.browserImportFunction = (address) => import(address);
  window.config = {
    name: "dicom-fabricator",
    routerBasename: "/ohif",
    extensions: [],
    modes: [],
    customizationService: {
      global: {
        "ohif.tours": { $set: [] },
        "routes.customRoutes": {
          $set: {
            routes: [
              { path: "/", children: leadTo("/studies") },
              { path: "/notfoundstudy", children: leadTo(study) },
              { path: "/local", children: leadTo("/studies") },
              { path: "/localbasic", children: leadTo("/studies") },
            ],
            notFoundRoute: { path: "*", children: leadTo("/studies") },
          },
        },
      },
    },
    showStudyList: false,
    investigationalUseDialog: { option: "never" },
    disableConfirmationPrompts: true,
    showWarningMessageForCrossOrigin: false,
    showCPUFallbackMessage: true,
    showLoadingIndicator: true,
    strictZSpacingForVolumeViewport: true,
    showErrorDetails: "dev",
    maxNumberOfWebWorkers: 3,
    maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
    defaultDataSourceName: "local",
    dataSources: [
      {
        namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
        sourceName: "local",
        configuration: {
          friendlyName: "DICOM Fabricator",
          name: "local",
          wadoUriRoot: "/dicom-web",
          qidoRoot: "/dicom-web",
          wadoRoot: "/dicom-web",
          qidoSupportsIncludeField: true,
          supportsFuzzyMatching: true,
          supportsWildcard: true,
          imageRendering: "wadors",
          thumbnailRendering: "thumbnail",
          thumbnailRequestStrategy: "fetch",
          enableStudyLazyLoad: true,
          dicomUploadEnabled: false,
          omitQuotationForMultipartRequest: true,
          bulkDataURI: { enabled: true },
        },
      },
    ],
    httpErrorHandler: (error) => {
      if (error.status === 401) {
        location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
      }
    },
    whiteLabeling: {
      createLogoComponentFn: (React) =>
        React.createElement(
          "a",
          { href: study, className: "viewer-back", title: "Back to DICOM Fabricator" },
          React.createElement("img", { src: logo, alt: "", width: 24, height: 24 }),
          React.createElement("span", null, study === "/studies" ? "All studies" : "Back to the study"),
        ),
    },
  };
})();
